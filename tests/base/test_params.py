"""Claims about params.yaml: what is wrong ends in one sentence that names the key, before any work."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.builders import ROOT

from genrepro.base import params, sections
from genrepro.base.errors import GenreproError

MISSING = object()


def write(path: Path, changes: dict[str, Any]) -> Path:
    """The repository's params.yaml with dotted keys changed or, where the value is MISSING, removed."""
    yaml = YAML(typ="safe")
    values = yaml.load(ROOT / "params.yaml")
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        place = values
        for section in sections:
            place = place[section]
        if value is MISSING:
            del place[key]
        else:
            place[key] = value
    yaml.dump(values, path)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(GenreproError) as caught:
        params.load(path)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_the_repositorys_own_file_is_valid() -> None:
    config = params.load(ROOT / "params.yaml")
    assert config.section("mel") == YAML(typ="safe").load(ROOT / "params.yaml")["mel"]


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    for key in ["colour", "mel.colour", "train.learning_rate", "cnn.depth"]:
        assert f"unknown key {key};" in complaint(write(tmp_path / "p.yaml", {key: 1}))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    for key in ["seed", "mel", "mel.n_fft", "split.strategy", "cnn.channels"]:
        assert f"the key {key} is missing" in complaint(write(tmp_path / "p.yaml", {key: MISSING}))


def test_a_wrong_type_is_named_with_what_is_wanted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for key, value, wanted in [
        ("seed", "0", "a whole number"),
        ("seed", 0.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", None, "a whole number"),
        ("dataset", 3, "text"),
        ("mel.n_mels", 16.0, "a whole number"),
        ("train.lr", "fast", "a finite number"),
        ("train.lr", False, "a finite number"),
        ("train.lr", float("inf"), "a finite number"),
        ("train.lr", float("nan"), "a finite number"),
        ("segments.duration", float("inf"), "a finite number"),
        ("cnn.channels", 8, "a list"),
        ("cnn.channels", [8, "wide"], "a whole number"),
        ("audit.exclude", "silent", "a list"),
        ("mel.png_per_genre", "some", "a whole number or one of all"),
        ("mel.png_per_genre", True, "a whole number or one of all"),
        ("split.strategy", "guess", "one of artist, official, stratified, random, segment"),
        ("vit.size", "huge", "one of base, small, tiny"),
        ("vit.trainable_blocks", "some", "a whole number or one of all"),
        ("vit.colours", "viridis", "one of magma, grey"),
        ("lstm.pooling", "first", "one of mean_max, last"),
        ("train.select", "loss", "one of last, validation_loss, validation_accuracy"),
    ]:
        with subtests.test(key=key, value=value):
            message = complaint(write(tmp_path / "p.yaml", {key: value}))
            assert f"{key} = " in message and wanted in message


def test_an_impossible_value_is_named(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for key, value in [
        ("dataset", "mozart"),
        ("model", "oracle"),
        ("seed", -1),
        ("mel.sample_rate", 0),
        ("mel.n_fft", 0),
        ("mel.hop_length", -1),
        ("mel.n_mels", 0),
        ("mel.fmin", -1.0),
        ("mel.fmax", 1e6),
        ("mel.top_db", 0.0),
        ("mel.png_per_genre", -1),
        ("segments.duration", 0.0),
        ("segments.num_segments", 0),
        ("segments.max_frame_rate", -1.0),
        ("segments.max_mels", 0),
        ("audit.short_share", 1.0),
        ("audit.silence_db", 0.0),
        ("audit.clipped_share", 0.0),
        ("audit.exclude", ["silent", "ugly"]),
        ("split.train", 0.0),
        ("split.test", 1.0),
        ("split.pieces", 2),
        ("split.folds", 1),
        ("split.folds", -2),
        ("split.fold", 1),  # of one hold-out
        ("split.train_share", 0.0),
        ("split.train_share", 1.01),
        ("train.epochs", 0),
        ("train.batch_size", 0),
        ("train.lr", 0.0),
        ("train.weight_decay", -0.1),
        ("train.warmup", 1.0),
        ("train.label_smoothing", 1.0),
        ("train.mixup", -0.1),
        ("train.ema", 1.0),
        ("evaluate.confidence", 1.0),
        ("evaluate.calibration_bins", 0),
        ("cnn.channels", []),
        ("cnn.channels", [8, 0]),
        ("cnn.dropout", 1.0),
        ("cnn.statistics", -1),
        ("vit.weights", ""),
        ("vit.trainable_blocks", -1),
        ("vit.trainable_blocks", 13),
        ("head.depth", -1),
        ("head.width", 0),
        ("head.dropout", 1.0),
        ("ast.weights", ""),
        ("ast.trainable_blocks", 13),
        ("ast.patch_size", 0),
        ("ast.stride", 0),
        ("ast.num_heads", 5),
        ("ast.dropout", -0.1),
        ("lstm.hidden", 0),
        ("lstm.num_layers", 0),
        ("lstm.dropout", 1.0),
        ("synthetic.num_tracks", 39),
        ("synthetic.duration", 1.0),
        ("synthetic.seed", -1),
        ("train.layer_decay", 0.0),
        ("train.clip_norm", -1.0),
        ("train.patience", -1),
    ]:
        with subtests.test(key=key, value=value):
            assert f"{key} = " in complaint(write(tmp_path / "p.yaml", {key: value}))


def test_strategies_that_deal_by_chance_alone_have_no_folds(tmp_path: Path) -> None:
    for strategy in ["random", "segment"]:
        message = complaint(write(tmp_path / "p.yaml", {"split.strategy": strategy, "split.folds": 5}))
        assert f"split.folds = 5 needs the strategy artist or official or stratified; {strategy}" in message


def test_imagenets_weights_are_of_the_base_size_alone(tmp_path: Path) -> None:
    for size in ["small", "tiny"]:
        path = write(tmp_path / "p.yaml", {"vit.weights": "imagenet", "vit.size": size})
        assert (
            f"vit.weights = 'imagenet' must be none or a path, or vit.size base instead of {size}"
            in complaint(path)
        )
        assert params.load(write(path, {"vit.weights": "imagenet"})).vit.size == "base"


def test_the_lower_edge_must_lie_below_the_upper(tmp_path: Path) -> None:
    path = write(tmp_path / "p.yaml", {"mel.fmin": 3000.0, "mel.fmax": 3000.0})
    assert "mel.fmin = 3000.0" in complaint(path)


def test_shares_that_do_not_add_up_to_one_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "p.yaml", {"split.train": 0.5, "split.validation": 0.2, "split.test": 0.2})
    assert "= 0.9 must be 1" in complaint(path)


def test_shares_may_carry_the_dust_of_binary_fractions(tmp_path: Path) -> None:
    path = write(tmp_path / "p.yaml", {"split.train": 0.7, "split.validation": 0.1, "split.test": 0.2})
    assert params.load(path).split.train == 0.7  # 0.7 + 0.1 + 0.2 is not 1 in binary


def test_a_small_number_as_dvc_writes_it_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path / "p.yaml", {"train.lr": 123.0})
    path.write_text(path.read_text().replace("123.0", "1e-05"))
    assert params.load(path).train.lr == 0.00001


def test_a_whole_number_passes_for_a_float(tmp_path: Path) -> None:
    lr = params.load(write(tmp_path / "p.yaml", {"train.lr": 1})).train.lr
    assert (lr, type(lr)) == (1.0, float)
    segment = params.load(write(tmp_path / "p.yaml", {"pretrained.segment": 5})).pretrained.segment
    assert (segment, type(segment)) == (5.0, float)  # or auto


def test_all_is_a_number_of_pictures(tmp_path: Path) -> None:
    for value in ["all", 0, 3]:
        assert (
            params.load(write(tmp_path / "p.yaml", {"mel.png_per_genre": value})).mel.png_per_genre == value
        )


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for content, wanted in [
        (b"", "must be a mapping"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"seed: [1,\n", "is not valid YAML"),
        (b"seed: 1\nseed: 2\n", "is not valid YAML"),
        (b"seed: \xff\xfe\n", "is not valid YAML"),
    ]:
        with subtests.test(content=content):
            (tmp_path / "p.yaml").write_bytes(content)
            assert wanted in complaint(tmp_path / "p.yaml")


def test_a_section_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    assert "mel must be a mapping" in complaint(write(tmp_path / "p.yaml", {"mel": 3}))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    assert "run from the repository root" in complaint(tmp_path / "params.yaml")


def test_parameters_cannot_be_changed_once_they_are_loaded() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.load(ROOT / "params.yaml").train.lr = 1.0  # type: ignore[misc]


def test_nested_sections_become_dotted_keys() -> None:
    values = {"seed": 0, "train": {"lr": 0.1}, "sweep": {"lr": {"first": 1, "last": 2}, "seed": [0, 1]}}
    assert sections.flat(values) == {
        "seed": 0,
        "train.lr": 0.1,
        "sweep.lr.first": 1,
        "sweep.lr.last": 2,
        "sweep.seed": [0, 1],
    }


def test_a_password_in_the_source_is_refused_before_anything_keeps_it(tmp_path: Path) -> None:
    for source in ("https://me:hunter2@example.org/a.zip", "HTTP://hunter2@example.org/a.zip?x=1"):
        message = complaint(write(tmp_path / "p.yaml", {"source": source}))
        assert "source holds a user or a password" in message and "hunter2" not in message
    for source in ("https://example.org/a@b.zip", "/music/a@b", "auto"):
        assert params.load(write(tmp_path / "p.yaml", {"source": source})).source == source


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ast.patches": "frames", "ast.weights": "audioset"}, "ast.weights = 'audioset' must be none, or"),
        ({"ast.patches": "convolutions"}, "ast.patch_size = 16 must be a power of 2, above 1, and equal"),
        ({"ast.patches": "convolutions", "ast.patch_size": 1, "ast.stride": 1}, "ast.patch_size = 1 must be"),
        ({"ast.patches": "convolutions", "ast.patch_size": 12, "ast.stride": 12}, "ast.patch_size = 12 must"),
        ({"vit.image_size": 120}, "vit.image_size = 120 must be a multiple of 16"),
        (
            {"vit.weights": "imagenet", "vit.image_size": 112},
            "vit.weights = 'imagenet' must be none or a path",
        ),
        ({"vit.weights": "imagenet", "vit.stem": "convolutions"}, "or vit.stem patch and vit.image_size 224"),
        (
            {"model": "ast", "ast.patches": "convolutions", "ast.stride": 16, "train.objective": "m2d"},
            "train.objective = m2d would show masked patches in their neighbours",
        ),
        (
            {
                "model": "vit",
                "vit.trainable_blocks": "all",
                "vit.stem": "convolutions",
                "train.objective": "m2d",
            },
            "train.objective = m2d would show masked patches in their neighbours",
        ),
    ],
)
def test_patches_and_stems_fit_weights_and_masks(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(GenreproError, match=re.escape(sentence)):
        params.load(write(tmp_path / "p.yaml", changes))
