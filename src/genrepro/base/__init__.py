"""Code that every package uses and that does not change results.

`errors` has the exception for users. `files` writes files whole or not at all. `tables` declares the columns
of all tables. `params` reads params.yaml into checked dataclasses, with `sections` (the checks),
`architectures` and `data_sets` (the sections of models and of data sets). `places` and `stores` find the
user's files and MLflow store. `lettering` draws any text in figures. `devices` chooses the device. `starts`
finds the model that `train.start` names. `process` ends a stage. Start with `errors`, `files`, `tables`,
`params`.

A stage does not name this package in dvc.yaml: an edit here changes no output.
"""
