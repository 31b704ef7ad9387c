"""A trained model at work: on a file, in MLflow's registry, behind HTTP.

In: models/ and a file. Out: genre probabilities. Read `predictor` (a file's genre), `registry` (a version in
MLflow), `pyfunc` (what MLflow runs of it), `server` (HTTP), `commands` (`genrepro predict`, `register` and
`serve`).
"""
