"""Named experiments: run those of experiments.yaml by DVC, record them, and publish them as a page.

In: experiments.yaml, DVC's experiments. Out: metrics/experiments/, docs/RESULTS.md, docs/figures/. Read
`entries` (the checked file), `launch` (runs of DVC), `records` (results), `collection` (from DVC's commits to
records), `folds` (pooled predictions of a cross-validation), `page` (RESULTS.md), `figures`, `cells` (a
sweep's cells as experiments), `commands` (`genrepro experiment` and `genrepro sweep`).
"""
