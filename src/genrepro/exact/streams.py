"""Independent random streams from the one ``seed``: each use draws from a stream of its own name.

A stage that draws one number more must not shift another stage's numbers, and Python's own ``hash`` changes
with PYTHONHASHSEED; so a stream is NumPy's ``SeedSequence`` over the seed and the CRC of the stream's name.
"""

import zlib

import numpy as np


def sequence(seed: int, name: str) -> np.random.SeedSequence:
    """The seed sequence of stream ``name``."""
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())])


def generator(seed: int, name: str) -> np.random.Generator:
    """A NumPy generator for stream ``name``."""
    return np.random.default_rng(sequence(seed, name))


def integer(seed: int, name: str) -> int:
    """A 31-bit integer for libraries that take a seed of their own (scikit-learn, torch)."""
    return int(sequence(seed, name).generate_state(1)[0] >> 1)
