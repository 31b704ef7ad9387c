"""Claims about the vote: a track's probability is the mean of its segments'."""

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from genrepro.models.shared.batches import Cutter, FixedSegments
from genrepro.models.shared.segments import Spans
from genrepro.models.shared.voting import segment_probabilities, vote


def test_a_vote_is_the_mean_over_the_tracks_segments() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 9)
    track = np.array([0, 2, 0, 1, 2, 2, 0, 1, 2])
    expected = [probabilities[track == number].mean(axis=0) for number in range(3)]
    np.testing.assert_allclose(vote(probabilities, track), expected)


def test_a_confident_segment_outvotes_two_doubtful_ones() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    assert vote(probabilities, np.zeros(3, int)).argmax() == 0


def test_probabilities_are_the_softmax_of_each_segment_in_order() -> None:
    class Means(nn.Module):
        """Each band's mean is a genre's logit."""

        def forward(self, segments: torch.Tensor) -> torch.Tensor:
            return segments.mean(dim=(1, 3))

    frames = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float16)
    spans = Spans(
        first_frame=np.array([0, 20, 40]),
        num_frames=np.array([20, 20, 20]),
        label=np.zeros(3, int),
        track=np.arange(3),
        track_ids=["a", "b", "c"],
    )
    segments = FixedSegments(Cutter(frames, device=torch.device("cpu")), spans, batch_size=2)
    expected = softmax(frames.astype(np.float64).reshape(3, 20, 3).mean(axis=1), axis=1)
    np.testing.assert_allclose(segment_probabilities(Means(), segments), expected, atol=1e-6)


def test_the_model_votes_without_dropout() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(40, 2)).train()
    spans = Spans(
        first_frame=np.zeros(1, int),
        num_frames=np.array([20]),
        label=np.zeros(1, int),
        track=np.zeros(1, int),
        track_ids=["a"],
    )
    frames = np.ones((20, 2), np.float16)
    segments = FixedSegments(Cutter(frames, device=torch.device("cpu")), spans)
    one, other = (segment_probabilities(model.train(), segments) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_the_majority_decides_and_the_mean_settles_ties() -> None:
    probabilities = np.array(
        [[0.4, 0.35, 0.25], [0.45, 0.5, 0.05], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0], [0.1, 0.2, 0.7]]
    )
    track = np.array([0, 0, 0, 1, 1])
    verdicts = vote(probabilities, track, how="majority")
    mean = vote(probabilities, track)
    votes = np.array([[2, 1, 0], [1, 0, 1]])
    np.testing.assert_allclose(verdicts, (votes + mean) / [[4], [3]])
    np.testing.assert_allclose(verdicts.sum(axis=1), 1)
    assert verdicts.argmax(1).tolist() == [0, 0]  # of the second track by the mean, 0.5 against 0.35


def test_a_majority_outvotes_one_segment_that_is_sure() -> None:
    probabilities = np.array([[0.99, 0.01], [0.45, 0.55], [0.45, 0.55]])
    track = np.zeros(3, int)
    assert vote(probabilities, track).argmax() == 0
    assert vote(probabilities, track, how="majority").argmax() == 1
