"""Pictures of trainings and sweeps: tables in, matplotlib figures out.

Read `plotting` (axes, colours, captions), `training` (one run), `seeds` (several runs), `averages` (a
sweep's curves as tables), `epochs` (a sweep by epoch), `selection` (its winners on validation and test),
`forest` (several models' accuracies with their intervals).
"""
