"""Named experiments: experiments.yaml run by DVC, recorded, and published as a page.

In: experiments.yaml, DVC's experiments. Out: metrics/experiments/, docs/RESULTS.md, docs/figures/.
Read `entries` (the file, checked), `launch` (as runs of DVC), `records` (what they gave), `collection` (from
DVC's commits to records), `folds` (predictions of a cross-validation, pooled), `page` (RESULTS.md),
`figures`, `cells` (a sweep's cells as experiments), `commands` (`genrepro experiment` and `genrepro sweep`).
"""
