"""The ground floor: what everybody uses and what can change no result.

Errors are sentences (`errors`). Files appear whole (`files`), tables have the columns that `tables` says.
`params` reads params.yaml into checked dataclasses; `sections` checks, `architectures` holds the models' own.
`devices` chooses the device. Read `errors`, `files`, `tables`, `params`.

A stage does not name this package in dvc.yaml: an edit here changes no output.
"""
