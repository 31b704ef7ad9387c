"""Named experiments: run those of experiments.yaml by DVC, record them, and publish them as pages.

In: experiments.yaml, DVC's experiments. Out: metrics/experiments/, docs/RESULTS.md, docs/results/ and
docs/figures/. Read `definitions` and `entries` (the checked file), `launch` (runs of DVC), `records` and
`hits` (results, and which tracks were right), `collection` (from DVC's commits to records), `folds` (pooled
predictions of a cross-validation), `measured` and `answers` (means and differences with their intervals),
`page`, `rows` and `ranking` (the pages and their tables), `figures`, `bring` (the model of an experiment, for
`train.start`), `cells` (a sweep's cells as experiments), `commands` (`genrepro experiment` and `genrepro
sweep`).
"""
