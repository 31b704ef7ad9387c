"""Code that makes equal inputs give equal results on every machine.

`numerics` fixes instruction sets and threads before numpy is imported. `streams` makes independent random
streams from one seed. `dense` computes dense layers with the same bytes on every processor. `identity` says
which names are one artist and which tracks must stay together. Every stage names this package in dvc.yaml.
"""
