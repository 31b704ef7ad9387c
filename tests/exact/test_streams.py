"""Claims about random streams: each name has its own, the same everywhere."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import ROOT

from genrepro.exact import streams

NAMES = ("split.test", "split.validation", "train.batches", "train.torch")


@pytest.mark.parametrize("hash_seed", ["1"])
def test_a_stream_is_the_same_in_every_process(hash_seed: str) -> None:
    # PYTHONHASHSEED changes hash("train.batches"); a stream must not hang on it.
    script = "from genrepro.exact import streams; print(streams.integer(7, 'train.batches'))"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "src",
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(answer.stdout) == streams.integer(7, "train.batches")


def test_names_and_seeds_have_streams_of_their_own() -> None:
    draws = {tuple(streams.generator(seed, name).random(4)) for seed in range(20) for name in NAMES}
    assert len(draws) == 20 * len(NAMES)


def test_streams_of_one_seed_are_not_correlated() -> None:
    draws = np.array([streams.generator(0, name).random(10_000) for name in NAMES])
    correlation = np.corrcoef(draws) - np.eye(len(NAMES))
    assert np.abs(correlation).max() < 0.04  # four standard errors of 10 000 pairs


def test_the_same_stream_repeats_itself() -> None:
    first, again = (streams.generator(3, "train.batches").random(100) for _ in range(2))
    assert np.array_equal(first, again)


@given(seed=st.integers(0, 2**64), name=st.text(max_size=20))
def test_an_integer_fits_every_library(seed: int, name: str) -> None:
    assert 0 <= streams.integer(seed, name) < 2**31
