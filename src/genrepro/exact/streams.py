"""Make independent random streams from one ``seed``: each use has a stream with a name of its own.

With separate streams, a stage that draws one more number does not change another stage's numbers. A stream is
NumPy's ``SeedSequence`` over the seed and the CRC of the stream's name. Python's ``hash`` would not do: it
changes with PYTHONHASHSEED.
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
