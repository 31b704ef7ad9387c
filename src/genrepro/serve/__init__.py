"""Use a trained model: on a file, in MLflow's registry, over HTTP.

In: models/ and a file. Out: genre probabilities. Read `predictor` (the genre of a file), `heard` (by a
published body of audio), `answers` (many files as text, CSV or JSON lines), `default` (the model that comes
with genrepro), `worth` (how far a model can be trusted), `registry` (a version in MLflow), `pyfunc` (the code
that MLflow runs), `server` (HTTP), `allowed` (files that a request may name), `front` (bounds on requests),
`commands` (`genrepro predict`, `register` and `serve`).
"""
