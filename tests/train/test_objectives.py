"""Claims about multi-task training: every label is learned, and the model alone is kept."""

import numpy as np
import pandas as pd
import pytest
import torch
from support.builders import Toy, make_params

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.models.shared import checkpoint
from genrepro.train import fit

TRAIN = {"epochs": 25, "batch_size": 6, "lr": 0.01, "ema": 0.0, "mixup": 0.0, "objective": "multi_task"}
CNN = {"channels": (8, 16), "dropout": 0.0, "statistics": 0}


def make_labels(toy: Toy) -> pd.DataFrame:
    """What the toy's composer would know: every label follows the genre, so all can be learned."""
    index = toy.features.index.sort_values("track_id")
    number = index["genre"].map({"blues": 0, "jazz": 1, "rock": 2}).to_numpy()
    return pd.DataFrame(
        {
            "track_id": index["track_id"].to_numpy(),
            "tempo": np.array([60.0, 100.0, 180.0])[number],
            "metre": np.array([3, 4, 4])[number],
            "key": np.array(["A", "C", "C#"])[number],
            "instruments": np.array(["bass", "bass piano", "drums"])[number],
            "artist": np.array(["Ada", "Bo", "Cy"])[number],
        }
    )


def test_all_tasks_are_learned_and_the_model_alone_is_kept(toy: Toy) -> None:
    config = make_params(model="cnn", dataset="composed", cnn=CNN, train=TRAIN)
    description = checkpoint.describe(
        model="cnn", section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    torch.manual_seed(0)
    fitted, _ = fit.run(toy.features, toy.split, config, description, labels=make_labels(toy))
    expected = models.build("cnn", config.architecture(), num_genres=3).state_dict()
    assert list(fitted.state) == list(expected)
    # Six losses of chance add up to more than 6; four are left only if most tasks are learned.
    assert fitted.curves[0].train_loss > 4 > 2 > fitted.curves[-1].train_loss
    assert fitted.best.validation_accuracy == 1.0


def test_other_data_sets_are_refused_in_a_sentence() -> None:
    with pytest.raises(GenreproError, match="which only `composed` knows: set dataset to composed"):
        make_params(dataset="gtzan_images", train={"objective": "multi_task"})
