"""The estimators: they validate input, build the parts of the rooms below, run them, keep arrays.

`classifier`, `recommender`, `hasher` and `federated` hold one estimator each. Beside them:
prediction (`*_prediction`), what y and item ids become inside (`targets`, `item_ids`,
`item_weights`), and how a fit starts (`warm_start`, `checkpointing`) or is run over devices
(`device_params`, `federated_tasks`, `federated_run`). Users import them from `sklsh` itself.
"""
