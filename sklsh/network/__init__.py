"""The wide network: plain arrays, a body and a very wide head. No scikit-learn, no federation.

====================  ============================================================================
the network           `model`, trained on `rows` by `trainer` with `optimizers`; `prototypes`
a batch               `batching` by hash codes, `sampling` of neurons, with the tables of `lsh` or
                      the codes of `coded_head`
a fit                 `learner` and its `settings`; `fitting`, the epochs; `units`; `checkpoints`
what follows it       `holdout`, `validation_rows`, `finishing`: `calibration`, `ranking`,
                      `head_index`
a prediction          `predictor`: `topk` of the head, then `merging`; `chosen` labels alone
beside the network    `nearest` rows and their labels, `neighbors`; `linear`: `label_tree`,
                      `label_order`
streams               `journal`, `growth`, `window`
several, or less      `members`, one network of many; `compressed`
recommenders          `autoencoder` on `interactions`; `item_scorer`, `serving`, `retrieval`,
                      `diversity`; the sources `cooccurrence`, `regression`, `lowpass`, joined by
                      `blending` by `gains`; `smoothing`; `products` of sparse rows
====================  ============================================================================
"""
