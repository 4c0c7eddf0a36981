"""The estimators: they validate input, build the parts of the rooms below, run them, keep arrays.

One estimator each: `classifier` (`classifier_training`, `classifier_prediction`), `compressed`,
`text`, `recommender` (`recommender_prediction`, `recommendation_files`), `hasher` (`encodings`) and
`federated` (`federated_training`, `federated_prediction`; `federated_run` takes `device_params` and
`federated_tasks` to a trained model). For several: what y, weights and item ids become inside
(`targets`, `class_values`, `thresholds`, `class_weight`, `item_ids`, `item_weights`), how a fit
starts (`warm_start`, `checkpointing`), parameters that are `unused` (`federated_unused`). Users
import from `sklsh` itself.
"""
