"""Claims about published bodies: all forms are read, no code and no pickle runs, errors are sentences."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from support import bodies
from support.builders import ROOT
from support.hub import COMMIT, Hub

from genrepro.base.errors import GenreproError
from genrepro.models.shared import published


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENREPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GENREPRO_DATA", raising=False)
    return tmp_path / "cache"


def equal(one: Any, other: Any) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("form", ["safetensors", "sharded", "bin", "bin-sharded"])
@pytest.mark.parametrize("family", ["wav2vec2", "dinov2"])
def test_every_published_form_gives_the_same_weights(family: str, form: str, tmp_path: Path) -> None:
    network, _ = bodies.write(tmp_path / "body", family, form=form)
    if form == "sharded":
        assert len(list((tmp_path / "body").glob("*.safetensors"))) > 1
    found = published.load(str(tmp_path / "body"))
    assert equal(network, found.network)
    assert found.kind == ("picture" if family == "dinov2" else "audio")
    assert not found.network.training


def test_a_bin_is_converted_once_and_kept(tmp_path: Path, cache: Path) -> None:
    bodies.write(tmp_path / "body", "hubert", form="bin")
    published.load(str(tmp_path / "body"))
    (kept,) = cache.glob("bodies/*/model.safetensors")
    before = kept.stat().st_mtime_ns
    published.load(str(tmp_path / "body"))
    assert kept.stat().st_mtime_ns == before


def test_code_in_a_bin_does_not_run(tmp_path: Path) -> None:
    bodies.write(tmp_path / "body", "hubert", form="bin")

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    with (tmp_path / "body" / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"weight": Bomb()}, file)
    with pytest.raises(
        GenreproError, match=r"pytorch_model\.bin of .* is damaged or holds more than tensors"
    ):
        published.load(str(tmp_path / "body"))
    assert not (tmp_path / "ran").exists()


def test_code_beside_the_weights_does_not_run(tmp_path: Path) -> None:
    bodies.write(tmp_path / "mert", "hubert")
    bodies.as_mert(tmp_path / "mert")
    assert published.load(str(tmp_path / "mert")).model_type == "hubert"
    bodies.as_maest(tmp_path / "maest")
    assert published.load(str(tmp_path / "maest")).processor is None
    assert not any("transformers_modules" in name for name in sys.modules)


def from_hub(hub: Hub, home: Path, *asked: tuple[str, str], python: Path) -> list[str]:
    """Load bodies (name, revision) from a hub; for each its revision and hash, or a sentence.

    In a process of its own, since the library reads its settings when imported, and in one for all, since
    transformers takes a second to import.
    """
    code = (
        "from genrepro.base.errors import GenreproError\n"
        "from genrepro.models.shared import published\n"
        f"for name, revision in {asked!r}:\n"
        "    try:\n"
        "        body = published.load(name, revision=revision)\n"
        "        print(body.revision, published.sha256(body.network))\n"
        "    except GenreproError as error:\n"
        "        print(error)\n"
    )
    settings = {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_DISABLE_XET": "1", "GENREPRO_CACHE": str(home / "genrepro"), "GENREPRO_WORKERS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [python, "-c", code], env=os.environ | settings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("\n")


def repository(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


ASKED = {
    "sharded": ("owner/sharded", "main"),
    "bin": ("owner/bin", "main"),
    "no such model": ("owner/absent", "main"),
    "a wrong revision": ("owner/sharded", "v9"),
    "no safetensors": ("owner/tf", "main"),
}


@pytest.fixture(scope="module")
def said(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is said of bodies on a hub, the hash of two of them, what the hub was asked for, and an error."""
    folder = tmp_path_factory.mktemp("hub")
    network, _ = bodies.write(folder / "sharded", "wav2vec2", form="sharded")
    bodies.write(folder / "bin", "wav2vec2", form="bin")
    bodies.as_mert(folder / "bin")
    (folder / "sharded" / "notes.pdf").write_bytes(b"much")
    bodies.write(folder / "good", "wav2vec2")
    good = repository(folder / "good")
    tensorflow = {name: content for name, content in good.items() if not name.endswith(".safetensors")}
    given = {
        "owner/sharded": repository(folder / "sharded"),
        "owner/bin": repository(folder / "bin"),
        "owner/tf": {**tensorflow, "tf_model.h5": b"0"},
    }
    given["owner/bin"]["config.json"] = given["owner/sharded"]["config.json"]
    with Hub(given) as hub:
        lines = from_hub(hub, folder / "home", *ASKED.values(), python=warm / "python")
    return {
        **dict(zip(ASKED, lines, strict=True)),
        "digest": published.sha256(network),
        "asked": hub.asked,
        "no network": from_hub(hub, folder / "elsewhere", ASKED["sharded"], python=warm / "python")[0],
    }


def test_a_body_comes_from_the_hub_by_its_own_client(said: dict[str, Any]) -> None:
    assert said["sharded"] == said["bin"] == f"{COMMIT} {said['digest']}"
    assert not [path for path in said["asked"] if path.endswith((".py", ".pdf"))]


def test_what_is_wrong_on_the_hub_is_one_sentence(said: dict[str, Any], subtests: pytest.Subtests) -> None:
    for case, expected in {
        "no such model": "the hub has no model owner/absent, or it is private",
        "a wrong revision": "has no revision 'v9': pretrained.revision must be",
        "no safetensors": "neither model.safetensors nor pytorch_model.bin",
        "no network": "pretrained.weights: owner/sharded could not be downloaded (",
    }.items():
        with subtests.test(case=case):
            assert expected in said[case]
    assert "pass -S pretrained.weights=<folder>" in said["no network"]


def test_a_copy_in_the_data_folder_is_used_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = bodies.write(tmp_path / "data" / "weights" / "dinov2-small", "dinov2")
    monkeypatch.setenv("GENREPRO_DATA", str(tmp_path / "data"))
    assert equal(network, published.load("facebook/dinov2-small").network)


def remote_code(folder: Path) -> None:
    bodies.write(folder, "wav2vec2")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "my_own", "auto_map": {"AutoModel": "modeling.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))


def without_extractor(folder: Path) -> None:
    bodies.write(folder, "wav2vec2")
    (folder / "preprocessor_config.json").unlink()


def of_text(folder: Path) -> None:
    hf.BertModel(hf.BertConfig(**bodies.SMALL, vocab_size=30)).save_pretrained(folder)


def damaged(folder: Path) -> None:
    bodies.write(folder, "wav2vec2")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def of_another(folder: Path) -> None:
    bodies.write(folder, "wav2vec2")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


def without_config(folder: Path) -> None:
    folder.mkdir()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (remote_code, r"a model of type my_own, which needs code of its own repository, which is never run"),
        (without_extractor, r"has no feature extractor \(preprocessor_config\.json\)"),
        (of_text, r"is a model of text \(bert\): choose one of audio or of pictures"),
        (damaged, r"cannot be loaded \("),
        (
            of_another,
            r"does not hold the network of its config\.json: \d+ tensors are missing, such as encoder",
        ),
        (without_config, r"has no readable config\.json"),
    ],
)
def test_what_is_wrong_in_a_folder_is_one_sentence(make: Any, expected: str, tmp_path: Path) -> None:
    make(tmp_path / "body")
    with pytest.raises(GenreproError, match=expected) as raised:
        published.load(str(tmp_path / "body"))
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_a_name_that_is_neither_folder_nor_model_is_refused() -> None:
    with pytest.raises(GenreproError, match=r"neither a folder nor a model's name"):
        published.load("dinov2")
