"""Use a trained model: on a file, in MLflow's registry, over HTTP.

In: models/ and a file. Out: genre probabilities. Read `predictor` (the genre of a file), `heard` (by a
published body of audio), `registry` (a version in MLflow), `pyfunc` (the code that MLflow runs), `server`
(HTTP), `commands` (`genrepro predict`, `register` and `serve`).
"""
