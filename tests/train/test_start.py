"""Claims about a training that begins with a trained model: what fits is taken, the rest is said by name."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from support.builders import Toy, make_params

from genrepro import models
from genrepro.base import files, starts
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.models.shared import checkpoint
from genrepro.models.shared.inputs import Features
from genrepro.train import fit, loop, resume, start

RECIPE = {"epochs": 3, "batch_size": 5, "lr": 0.01, "ema": 0.9}
OTHER_GENRES = ["blues", "jazz", "metal", "pop"]


def make_config(model: str = "cnn", *, channels: tuple[int, ...] = (4, 8), **recipe: Any) -> Params:
    return make_params(
        model=model,
        cnn={"channels": channels, "dropout": 0.3, "statistics": 0},
        lstm={"hidden": 8, "num_layers": 2, "dropout": 0.3},
        ast={"hidden_size": 12, "num_layers": 2, "num_heads": 2, "intermediate_size": 24, "patch_size": 4,
             "stride": 4},
        vit={"size": "tiny", "trainable_blocks": "all"},
        train={**RECIPE, **recipe},
    )  # fmt: skip


def describe(config: Params, features: Features, **changes: Any) -> dict[str, Any]:
    description = checkpoint.describe(
        model=config.model, section=config.architecture(), features=features.description, split_sha256="-"
    )
    return {**description, **changes}


def keep(folder: Path, config: Params, features: Features, **changes: Any) -> Path:
    """A trained model's folder. Its weights are random ones of another seed: enough to see them taken."""
    description = describe(config, features, **changes)
    torch.manual_seed(77)
    model = models.build(
        config.model, description[config.model], num_genres=len(description["genres"]), inputs=description
    )
    checkpoint.save(folder, model.state_dict(), description)
    return folder


def begin(config: Params, features: Features, folder: Path) -> tuple[torch.nn.Module, start.Taken]:
    description = describe(config, features)
    torch.manual_seed(3)
    model = models.build(
        config.model, description[config.model], num_genres=len(features.genres), inputs=description
    )
    found = start.read(str(folder))
    assert found is not None
    section = description[config.model]
    return model, start.load(model, found, name=config.model, section=section, description=description)


@pytest.mark.parametrize("model", ["cnn", "lstm", "ast", "vit"])
def test_a_start_of_the_same_genres_is_taken_whole(model: str, toy: Toy, tmp_path: Path) -> None:
    config = make_config(model)
    folder = keep(tmp_path / "trained", config, toy.features)
    begun, taken = begin(config, toy.features, folder)
    kept = start.read(str(folder))
    assert kept is not None
    assert all(torch.equal(value, kept.state[name]) for name, value in begun.state_dict().items())
    assert taken.taken == list(begun.state_dict())
    assert str(taken) == f"{len(taken.taken)} of {len(taken.taken)} tensors taken"


@pytest.mark.parametrize("model", ["cnn", "lstm", "ast", "vit"])
@pytest.mark.parametrize("genres", [OTHER_GENRES, ["blues", "jazz", "metal"]], ids=["more", "others"])
def test_the_layer_of_the_genres_begins_anew_for_other_genres(
    model: str, genres: list[str], toy: Toy, tmp_path: Path
) -> None:
    config = make_config(model)
    folder = keep(tmp_path / "trained", config, toy.features, genres=genres)
    begun, taken = begin(config, toy.features, folder)
    assert taken.other_genres and all(
        name.split(".")[-1] in ("weight", "bias") for name in taken.other_genres
    )
    assert len(taken.taken) + len(taken.other_genres) == len(begun.state_dict())
    torch.manual_seed(3)
    description = describe(config, toy.features)
    anew = models.build(model, description[model], num_genres=3, inputs=description).state_dict()
    for name in taken.other_genres:
        assert torch.equal(begun.state_dict()[name], anew[name])
        assert name in str(taken)
    assert f"{len(taken.other_genres)} begin anew with the genres" in str(taken)


def test_what_has_another_shape_is_left_and_named(toy: Toy, tmp_path: Path) -> None:
    folder = keep(tmp_path / "trained", make_config(channels=(4, 16, 8)), toy.features)
    _, taken = begin(make_config(channels=(4, 8)), toy.features, folder)
    assert taken.taken[0] == "blocks.0.0.weight"
    assert "blocks.1.0.weight" in taken.other_shape
    assert "blocks.2.0.weight" in taken.unused
    assert "begin anew, of another shape in the start (blocks.1.0.weight, " in str(taken)
    assert f"{len(taken.unused)} of the start are not used (" in str(taken)


def test_a_model_of_another_kind_is_refused_in_a_sentence(toy: Toy, tmp_path: Path) -> None:
    folder = keep(tmp_path / "trained", make_config("lstm"), toy.features)
    with pytest.raises(GenreproError, match="a lstm, fits the new cnn: name a model of the same kind"):
        begin(make_config("cnn"), toy.features, folder)


def run(toy: Toy, config: Params, unfinished: Path | None = None, **options: Any) -> loop.Fit:
    torch.manual_seed(3)
    begun = start.read(config.train.start)
    description = start.described(describe(config, toy.features), begun)
    return fit.run(
        toy.features, toy.split, config, description, unfinished=unfinished, begin=begun, **options
    )[0]


def in_bytes(fitted: loop.Fit) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in fitted.state.items()}


@pytest.fixture
def trained(toy: Toy, tmp_path: Path) -> str:
    return str(keep(tmp_path / "trained", make_config(), toy.features, genres=OTHER_GENRES))


def test_a_started_training_repeats_itself_to_the_byte_and_differs_from_one_from_scratch(
    toy: Toy, trained: str, capsys: pytest.CaptureFixture
) -> None:
    config = make_config(start=trained)
    assert in_bytes(run(toy, config)) == in_bytes(run(toy, config)) != in_bytes(run(toy, make_config()))
    assert f"start from {trained}: 12 of 14 tensors taken" in capsys.readouterr().out


def test_a_started_training_that_was_killed_ends_with_the_same_bytes(
    toy: Toy, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)
    config, unfinished = make_config(start=trained), tmp_path / "unfinished.safetensors"

    def kill(epoch: fit.Epoch) -> None:
        if epoch.epoch > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(toy, config, unfinished, on_epoch=kill)
    assert unfinished.is_file()
    assert in_bytes(run(toy, config, unfinished)) == in_bytes(run(toy, config))


def test_the_hash_of_the_start_is_part_of_the_description_and_none_adds_nothing(
    toy: Toy, trained: str
) -> None:
    description = describe(make_config(), toy.features)
    assert start.described(description, start.read("none")) == description
    begun = start.read(trained)
    assert begun is not None
    data = start.described(description, begun)["data"]
    assert data == {**description["data"], "start_sha256": begun.sha256}


def test_a_frozen_body_is_refused_in_a_sentence(toy: Toy, trained: str) -> None:
    frozen = dataclasses.replace(toy.features, description={**toy.features.description, "body": {}})
    config = make_config(start=trained)
    begun = start.read(trained)
    with pytest.raises(GenreproError, match="trainable_blocks = 0 freezes another"):
        fit.run(frozen, toy.split, config, describe(config, toy.features), begin=begun)


def test_a_missing_file_is_one_sentence(trained: str) -> None:
    Path(trained, "model.safetensors").unlink()
    with pytest.raises(GenreproError, match=r"has no model\.safetensors: name a folder"):
        start.read(trained)
    with pytest.raises(GenreproError, match="'nowhere' is neither a folder with a trained model"):
        start.read("nowhere")


def test_weights_of_another_description_are_refused(toy: Toy, trained: str, tmp_path: Path) -> None:
    other = keep(tmp_path / "other", make_config(channels=(4, 16)), toy.features)
    Path(other, "model.safetensors").replace(Path(trained, "model.safetensors"))
    with pytest.raises(GenreproError, match=r"is not the file that model\.json beside it describes"):
        start.read(trained)


def test_the_listing_changes_with_the_model_and_not_with_its_place(
    toy: Toy, trained: str, tmp_path: Path
) -> None:
    before = starts.listing(Path(trained))
    moved = Path(trained).rename(tmp_path / "moved")
    assert starts.listing(moved) == before
    assert starts.given(trained) is None and starts.given(str(moved)) == moved
    keep(moved, make_config(channels=(4, 16)), toy.features)
    assert starts.listing(moved) != before


def test_a_relative_path_means_the_users_repository(
    trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(clone)
    assert starts.folder("trained").samefile(trained)
    with pytest.raises(GenreproError, match="is the folder that the training itself writes"):
        starts.folder("models")


def test_without_epochs_a_start_stays_as_it_is_and_is_scored(toy: Toy, tmp_path: Path) -> None:
    folder = str(keep(tmp_path / "trained", make_config(), toy.features))
    fitted = run(toy, make_config(start=folder, epochs=0))
    begun = start.read(folder)
    assert begun is not None
    assert in_bytes(fitted) == {name: value.numpy().tobytes() for name, value in begun.state.items()}
    assert fitted.metrics()["best_epoch"] == 0 and [epoch.epoch for epoch in fitted.curves] == [0]
    assert fitted.best.train_loss > 0 and fitted.best.validation_loss > 0


def test_without_epochs_a_start_must_fit_whole(toy: Toy, trained: str) -> None:
    with pytest.raises(GenreproError, match=r"keeps the start as it is, but it does not fit: 12 of 14"):
        run(toy, make_config(start=trained, epochs=0))
    with pytest.raises(
        GenreproError, match=r"train\.epochs = 0 must be above 0, or 0 to keep a train\.start"
    ):
        make_config(epochs=0)


def test_an_experiments_model_is_found_by_the_hash_that_is_listed(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "clone" / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clone")
    first = keep(tmp_path / "first", make_config(), toy.features)
    files.write_json(starts.LISTING, starts.listing(first))
    with pytest.raises(GenreproError, match="is neither a folder"):
        starts.folder("songs-s0")
    kept = starts.place("songs-s0", starts.listing(first)["model_sha256"])
    kept.parent.mkdir()
    first.rename(kept)
    assert starts.folder("songs-s0") == kept
    other = keep(tmp_path / "other", make_config(channels=(4, 16)), toy.features)
    files.write_json(starts.LISTING, starts.listing(other))  # the experiment ran anew: nothing old is used
    with pytest.raises(GenreproError, match="is neither a folder"):
        starts.folder("songs-s0")
