"""`python -m genrepro` is the command `genrepro`."""

from genrepro.cli import run

run()
