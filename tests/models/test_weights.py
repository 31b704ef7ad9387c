"""Claims about foreign weights: torchvision's and transformers' formats, from files and own downloads."""

import hashlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from support.builders import ROOT, make_inputs, make_params
from support.server import Fault, Server
from support.transformer import SMALL as SMALL_AST
from support.transformer import checkpoint
from torchvision.models import VisionTransformer, ViT_B_16_Weights

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.models import vit
from genrepro.models.shared import weights

KEY = "vit.weights"


def complaint(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(GenreproError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and "vit.weights" in message
    return message


def make_vit(path: str | Path, size: str = "tiny") -> vit.Vit:
    section = {**make_params(model="vit").architecture(), "size": size, "weights": str(path)}
    return vit.build(section, num_genres=10, inputs=make_inputs())


def torchvisions(size: str = "tiny") -> VisionTransformer:
    """torchvision's own class, with a head of a thousand classes."""
    torch.manual_seed(1)
    return VisionTransformer(image_size=224, patch_size=16, num_layers=12, **vit.SIZES[size])


def same_body(model: vit.Vit, reference: dict[str, torch.Tensor]) -> bool:
    state = model.body.state_dict()
    return set(state) == {name for name in reference if not name.startswith("heads.")} and all(
        torch.equal(value, reference[name]) for name, value in state.items()
    )


def saved(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


# --- A file ----------------------------------------------------------------------------------------------


def test_a_file_in_torchvisions_format_gives_the_body_its_weights(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for suffix in [".pth", ".safetensors"]:
        with subtests.test(suffix=suffix):
            state, path = torchvisions().state_dict(), tmp_path / f"weights{suffix}"
            (save_file if suffix == ".safetensors" else torch.save)(state, path)
            model = make_vit(path)
            models.load_weights(model)
            assert same_body(model, state)


def test_the_names_of_the_published_file_are_understood(tmp_path: Path) -> None:
    # vit_b_16-c867db91.pth was written before torchvision renamed the layers of its perceptrons.
    state = torchvisions().state_dict()
    published = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): value
        for name, value in state.items()
    }
    assert set(published) != set(state)
    torch.save(published, tmp_path / "weights.pth")
    model = make_vit(tmp_path / "weights.pth")
    model.load()
    assert same_body(model, state)


def test_a_body_without_a_head_will_do(tmp_path: Path) -> None:
    state = {name: value for name, value in torchvisions().state_dict().items() if "heads" not in name}
    torch.save(state, tmp_path / "weights.pth")
    model = make_vit(tmp_path / "weights.pth")
    model.load()
    assert same_body(model, state)


def test_none_keeps_the_random_weights() -> None:
    model = make_vit("none")
    before = {name: value.clone() for name, value in model.body.state_dict().items()}
    model.load()
    assert same_body(model, before)


def test_models_without_foreign_weights_are_left_alone() -> None:
    models.load_weights(models.build("cnn", {"channels": [2], "dropout": 0.0}, num_genres=3))


def test_a_truncated_file_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in [".pth", ".safetensors"]:
        for share in [0.0, 0.5, 0.999]:
            with subtests.test(suffix=suffix, share=share):
                state, path = {"a": torch.randn(1000)}, tmp_path / f"weights{suffix}"
                (save_file if suffix == ".safetensors" else torch.save)(state, path)
                content = path.read_bytes()
                path.write_bytes(content[: int(share * len(content))])
                assert "weights" + suffix in complaint(weights.read, path, key=KEY)


def test_a_file_that_is_no_such_thing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"<html>404</html>")
    complaint(weights.read, tmp_path / "weights.pth", key=KEY)


class Intruder:
    """What a pickle could bring: code that runs while it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["INTRUDED"],))


def test_a_file_that_brings_code_is_refused_and_its_code_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTRUDED", str(tmp_path / "intruded"))
    torch.save({"a": Intruder()}, tmp_path / "weights.pth")
    assert "holds more than tensors" in complaint(weights.read, tmp_path / "weights.pth", key=KEY)
    assert not (tmp_path / "intruded").exists()


def test_anything_but_tensors_by_name_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for content in [[1, 2], {"model": {"a": torch.ones(1)}}, torch.ones(2)]:
        with subtests.test():
            torch.save(content, tmp_path / "weights.pth")
            assert "no plain state dict" in complaint(weights.read, tmp_path / "weights.pth", key=KEY)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.pth" in complaint(make_vit(tmp_path / "nowhere.pth").load)


def test_another_size_is_another_architecture(tmp_path: Path) -> None:
    torch.save(torchvisions("small").state_dict(), tmp_path / "weights.pth")
    message = complaint(make_vit(tmp_path / "weights.pth").load)
    assert "another architecture: size mismatch for class_token" in message


def test_missing_and_unknown_tensors_are_counted(tmp_path: Path) -> None:
    state = torchvisions().state_dict()
    del state["class_token"]
    torch.save({**state, "blocks.0.attn.qkv.weight": torch.ones(1)}, tmp_path / "weights.pth")
    message = complaint(make_vit(tmp_path / "weights.pth").load)
    assert "1 tensors are missing, such as class_token; 1 are unknown, such as blocks.0.attn" in message


# --- torchvision's download ------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's downloads; the folder where its files come to lie."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes a URL the one of torchvision's ImageNet weights."""
    return lambda url: monkeypatch.setattr(ViT_B_16_Weights.IMAGENET1K_V1.value, "url", url)


@pytest.fixture(scope="module")
def imagenet() -> tuple[str, bytes, dict[str, torch.Tensor]]:
    """ViT-B/16's file as torchvision publishes it, with random weights: name with hash, content, tensors."""
    torch.manual_seed(2)
    state = torchvision.models.vit_b_16(weights=None).state_dict()
    content = saved(state)
    return f"vit_b_16-{hashlib.sha256(content).hexdigest()[:8]}.pth", content, state


def test_imagenet_comes_by_torchvisions_own_download_and_only_once(
    server: Server, hub: Path, point: Any, imagenet: tuple[str, bytes, dict[str, torch.Tensor]]
) -> None:
    name, content, state = imagenet
    point(server.serve(f"/models/{name}", content))
    model = make_vit("imagenet", size="base")
    model.load()
    assert same_body(model, state)
    assert [path.name for path in hub.iterdir()] == [name]
    weights.download(ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)
    assert [asked.path for asked in server.asked] == [f"/models/{name}"]
    (hub / name).unlink()  # 346 MB that pytest would keep


SMALL = saved({"a": torch.ones(3)})
NAME = f"small-{hashlib.sha256(SMALL).hexdigest()[:8]}.pth"


def test_a_wrong_hash_is_refused_and_nothing_kept(server: Server, hub: Path, point: Any) -> None:
    url = server.serve("/models/vit_b_16-c867db91.pth", SMALL)
    point(url)
    message = complaint(weights.download, ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)
    assert f"{url} gives another file than the hash in its name promises" in message
    assert "-S vit.weights=<path>" in message and not list(hub.iterdir())


@pytest.mark.parametrize(
    "fault",
    [Fault(status=404), Fault(status=503), Fault(drop_after=20), Fault(body=b"", num_announced=0)],
    ids=["not found", "unavailable", "broken off", "empty"],
)
def test_a_failed_download_names_the_way_by_hand_and_keeps_nothing(
    server: Server, hub: Path, point: Any, fault: Fault
) -> None:
    point(server.serve(f"/{NAME}", SMALL))
    server.queue(f"/{NAME}", fault)
    message = complaint(weights.download, ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)
    assert f"download {server.url(f'/{NAME}')} by hand and pass -S vit.weights=<path>" in message
    assert not list(hub.iterdir())
    assert set(weights.download(ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)) == {
        "a"
    }  # the next attempt succeeds


def test_no_network_names_the_way_by_hand(server: Server, hub: Path, point: Any) -> None:
    point(f"http://127.0.0.1:9/{NAME}")  # nothing listens on the port of `discard`
    message = complaint(weights.download, ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)
    assert "could not be downloaded" in message and "-S vit.weights=<path>" in message


def test_a_damaged_earlier_download_is_named(hub: Path, point: Any) -> None:
    hub.mkdir(parents=True)
    (hub / NAME).write_bytes(SMALL[:100])
    point(f"http://127.0.0.1:9/{NAME}")
    message = complaint(weights.download, ViT_B_16_Weights.IMAGENET1K_V1, key=KEY)
    assert str(hub / NAME) in message and "delete it and start again" in message


# --- transformers' download ------------------------------------------------------------------------------

# The hub's client reads its address once, on import: a process of its own. It loads twice, the second time
# without a network, and then asks for a model that it never had.
FROM_HUB = """
import hashlib, json, socket, time
from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.models import ast

config, inputs = json.loads(input()), json.loads(input())

def digest():
    model = models.build("ast", config, num_genres=8, inputs=inputs)
    models.load_weights(model)
    tensors = sorted((name, value.numpy().tobytes()) for name, value in model.body.state_dict().items())
    return hashlib.sha256(b"".join(content for _, content in tensors)).hexdigest()

print(digest())

def unreachable(*args, **kwargs):
    raise OSError(101, "Network is unreachable")

time.sleep = lambda seconds: None  # the client's pauses before it tries again
socket.socket.connect = socket.create_connection = socket.getaddrinfo = unreachable
print(digest())
ast.AUDIOSET = "MIT/never-fetched"
try:
    digest()
except GenreproError as error:
    print(error)
"""


def test_audioset_comes_by_transformers_own_download_and_only_once(
    server: Server, tmp_path: Path, warm: Path
) -> None:
    from genrepro.models import ast

    checkpoint(tmp_path / "model")
    commit = {"X-Repo-Commit": "0" * 40}
    for name in ("config.json", "model.safetensors"):
        content = (tmp_path / "model" / name).read_bytes()
        etag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        server.serve(f"/{ast.AUDIOSET}/resolve/main/{name}", content, validators={**etag, **commit})
    section = {**SMALL_AST, "weights": "audioset"}
    done = subprocess.run(
        [warm / "python", "-c", FROM_HUB],
        input=f"{json.dumps(section)}\n{json.dumps(make_inputs())}\n",
        env={
            **os.environ,
            "HF_ENDPOINT": server.url("").rstrip("/"),
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(ROOT / "src"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, again, error = done.stdout.splitlines()
    local = ast.build({**SMALL_AST, "weights": str(tmp_path / "model")}, num_genres=8, inputs=make_inputs())
    local.load()
    tensors = sorted((name, value.numpy().tobytes()) for name, value in local.body.state_dict().items())
    assert first == again == hashlib.sha256(b"".join(content for _, content in tensors)).hexdigest()
    assert error.startswith("ast.weights: MIT/never-fetched cannot be loaded (")
    assert error.endswith("into a folder and pass -S ast.weights=<folder>.")
    # A HEAD and a GET: the file was asked for by the first of the two loads alone.
    assert [asked.path for asked in server.asked].count(
        f"/{ast.AUDIOSET}/resolve/main/model.safetensors"
    ) == 2
