"""Claims about keeping embeddings: nothing is lost, a kill costs one chunk, cached equals in the loop."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support import bodies, processes
from support.builders import make_catalog, make_music, make_params, make_split, write_mels

from genrepro import models
from genrepro.base import devices, files, tables
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.embed import chunks
from genrepro.exact.numerics import use_torch
from genrepro.exact.streams import generator
from genrepro.features.kept import choose
from genrepro.models import pretrained
from genrepro.models.shared import batches, checkpoint, layers, published
from genrepro.models.shared.inputs import Features
from genrepro.train import fit, loop

GENRES = ["blues", "jazz", "rock"]
COMPUTE = devices.Compute(device=torch.device("cpu"), precision="32-true")


def audio_set(data: Path, *, num_tracks: int = 21, sample_rate: int = 8000) -> Path:
    """Clips of 0.3 to 1.5 s, one of which is no audio."""
    rows = []
    (data / "raw").mkdir(parents=True)
    for number in range(num_tracks):
        name, genre = f"{number:02d}.wav", GENRES[number % 3]
        path = data / "raw" / name
        if number == 4:
            path.write_bytes(b"RIFF but no audio")
        else:
            clip = make_music(duration=0.3 + 0.06 * number, sample_rate=sample_rate, seed=number)
            soundfile.write(path, clip, sample_rate)
        sha256 = files.sha256(path)
        rows.append({"track_id": f"t{number:02d}", "genre": genre, "path": name, "sha256": sha256})
    files.write_parquet(data / "catalog.parquet", [make_catalog(rows)], tables.CATALOG)
    return data


def picture_set(data: Path, *, num_tracks: int = 24) -> Path:
    """Spectrograms of 40 frames, each genre loud in bands of its own."""
    rng = np.random.default_rng(0)
    spectrograms, rows = {}, []
    for number in range(num_tracks):
        spectrogram = rng.uniform(-80, -30, (40, 12))
        spectrogram[:, 4 * (number % 3) : 4 * (number % 3) + 4] += 30
        spectrograms[f"t{number:02d}"] = spectrogram.astype(np.float32)
        rows.append({"track_id": f"t{number:02d}", "genre": GENRES[number % 3], "path": f"{number}.png"})
    data.mkdir(parents=True)
    files.write_parquet(data / "catalog.parquet", [make_catalog(rows)], tables.CATALOG)
    write_mels(data / "mel.parquet", spectrograms)
    return data


def config(body: Path | str, **overrides: Any) -> Params:
    train = {"mixup": 0.0, "epochs": 4, "batch_size": 8, **overrides.pop("train", {})}
    head = {"kind": "linear", **overrides.pop("head", {})}
    plan = {"plan": "grid"}
    given = {"weights": str(body), **overrides}
    return make_params(model="pretrained", pretrained=given, train=train, head=head, segments=plan)


def embed(data: Path, params: Params) -> dict[str, int]:
    return chunks.keep(params, data=data, target=data / "embeddings.parquet", compute=COMPUTE)


def sides(data: Path) -> pd.DataFrame:
    track_ids = tables.read(data / "catalog.parquet", tables.CATALOG)["track_id"].to_pylist()
    return make_split(
        {
            one: ("train", "validation", "test")[0 if number % 4 < 2 else number % 4 - 1]
            for number, one in enumerate(track_ids)
        }
    )


def chosen(data: Path, params: Params, split: pd.DataFrame | None = None) -> Features:
    tracks = tables.read(data / "catalog.parquet", tables.CATALOG).to_pandas().set_index("track_id")
    return dataclasses.replace(
        found := choose(
            data / "embeddings.parquet",
            genre=tracks["genre"],
            artist=tracks["artist"],
            split=sides(data) if split is None else split,
            config=params,
        ),
        description={**found.description, "sha256": "-"},
    )


def test_every_track_that_can_be_read_is_embedded_whole(tmp_path: Path) -> None:
    data = audio_set(tmp_path / "data")
    bodies.write(tmp_path / "body", "wav2vec2")
    counts = embed(data, config(tmp_path / "body", segment=0.5))
    index, found = layers.read(data / "embeddings.parquet", layer=1, pooling="mean_std")
    assert counts == {"tracks": 20, "segments": len(index), "without": 1}
    assert "t04" not in set(index["track_id"])
    number = index.groupby("track_id").size()
    assert number["t00"] == 1 and number["t20"] == 3  # 0.3 s and 1.5 s
    assert found.shape[1] == 32 and np.isfinite(found).all()


def test_a_kill_loses_one_chunk_at_most_and_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, params = audio_set(tmp_path / "data"), config(tmp_path / "body", segment=0.5)
    bodies.write(tmp_path / "body", "hubert")
    embed(data, params)
    whole = (data / "embeddings.parquet").read_bytes()
    (data / "embeddings.parquet").unlink()

    asked = []
    real = chunks.in_batches

    def killed(reader: Any, segments: Any) -> Any:
        asked.append(len(segments))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(reader, segments)

    monkeypatch.setattr(chunks, "in_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        embed(data, params)
    assert not (data / "embeddings.parquet").exists()
    embed(data, params)
    assert len(asked) == 4  # the third chunk once more, and nothing else
    assert (data / "embeddings.parquet").read_bytes() == whole
    assert not (data / "embeddings.partial").exists()
    embed(data, params)
    assert len(asked) == 4  # what is there already stays


def test_another_body_segment_or_file_is_embedded_anew(tmp_path: Path) -> None:
    data = audio_set(tmp_path / "data", num_tracks=8)
    for name in ("hubert", "wavlm"):
        bodies.write(tmp_path / name, name)
    seen = set()
    for body, segment in (("hubert", 0.5), ("wavlm", 0.5), ("hubert", 0.4)):
        embed(data, config(tmp_path / body, segment=segment))
        seen.add(layers.describe(data / "embeddings.parquet")["identity"])
    assert len(seen) == 3


@pytest.mark.parametrize("layer", ["last", 1, "mean", "all", "weighted"])
def test_kept_layers_give_the_loss_curve_of_the_body_in_the_loop(layer: int | str, tmp_path: Path) -> None:
    data = picture_set(tmp_path / "data")
    bodies.write(tmp_path / "body", "dinov2")
    params = config(tmp_path / "body", layer=layer, pooling="cls_mean")
    embed(data, params)
    packed, split = chosen(data, params), sides(data)
    description = checkpoint.describe(
        model="pretrained", section=params.architecture(), features=packed.description, split_sha256="-"
    )
    torch.manual_seed(0)
    kept, counts = fit.run(packed, split, params, description)

    whole = models.with_frozen_body(
        "pretrained", params.architecture(), num_genres=3, inputs=packed.description
    )
    assert whole.body_sha256() == packed.description["body"]["sha256"]
    assert counts["num_parameters"] == sum(p.numel() for p in whole.parameters())
    frames = np.concatenate(
        [tables.unpack_mel(row["mel"], num_mels=12) for row in tables.read_mels(data / "mel.parquet")]
    )

    class Looped(batches.Cutter):
        def cut(self, first: np.ndarray, length: np.ndarray, place: np.ndarray) -> torch.Tensor:
            rows = torch.from_numpy(first[:, None] * 40 + np.arange(40))
            with torch.no_grad():
                return whole.eval().embed(self.frames[rows].float().transpose(1, 2).unsqueeze(1))

    looped = Looped(frames, device=torch.device("cpu"), embedded=True)
    torch.manual_seed(0)
    head = models.build_head("pretrained", params.architecture(), num_genres=3, inputs=packed.description)
    rng = generator(params.seed, "train.batches")
    training = batches.of_training(packed, split, looped, params=params.train, rng=rng)
    rows = training.spans.first_frame
    head[0].fit(looped.cut(rows, rows, rows).numpy())
    fitted = loop.fit(
        head,
        training=training,
        voters=batches.of_vote(packed, split, looped, side="validation"),
        voting="mean",
        num_genres=3,
        params=params.train,
        compute=COMPUTE,
        rng=rng,
    )
    for mine, theirs in zip(kept.curves, fitted.curves, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, abs=1e-5)
        assert mine.validation_loss == pytest.approx(theirs.validation_loss, abs=1e-5)
    assert kept.curves[-1].train_loss < kept.curves[0].train_loss


@pytest.mark.parametrize("family", bodies.PICTURES)
def test_a_picture_says_what_transformers_own_forward_says(family: str, tmp_path: Path) -> None:
    data = picture_set(tmp_path / "data", num_tracks=4)
    network, _ = bodies.write(tmp_path / "body", family)
    embed(data, config(tmp_path / "body"))
    row = next(tables.read_mels(data / "mel.parquet"))
    spectrogram = torch.from_numpy(tables.unpack_mel(row["mel"], num_mels=12).copy()).float()
    drawing = pretrained.drawing(
        published.load(str(tmp_path / "body")).settings,
        {"mel": {"top_db": 80.0}, "segments": {"representation": "log_mel"}, "mean": 0.0, "std": 1.0},
    )
    pixels = drawing(spectrogram.T[None, None])
    assert pixels.shape == (1, 3, 32, 32)
    with torch.no_grad():
        answer = network(pixel_values=pixels, output_hidden_states=True)
    special = 3 if family == "dinov2-registers" else 1
    for layer, hidden in enumerate([*answer.hidden_states[:-1], answer.last_hidden_state]):
        _, found = layers.read(data / "embeddings.parquet", layer=layer, pooling="cls_mean")
        expected = torch.cat([hidden[0, 0], hidden[0, special:].mean(0)])
        np.testing.assert_allclose(found[0], expected.numpy(), atol=1e-4)


def test_the_picture_is_what_the_processor_makes_of_a_whole_picture(tmp_path: Path) -> None:
    import matplotlib
    from PIL import Image

    _, processor = bodies.write(tmp_path / "body", "vit")
    rows, columns = np.meshgrid(np.arange(90), np.arange(120), indexing="ij")
    smooth = np.rint(127.5 * (1 + np.sin(rows / 15) * np.cos(columns / 20))).astype(int)
    spectrogram = torch.from_numpy((smooth[::-1] / 255 - 1) * 80).float()[None, None]
    ours = pretrained.drawing(
        published.load(str(tmp_path / "body")).settings,
        {"mel": {"top_db": 80.0}, "segments": {"representation": "log_mel"}, "mean": 0.0, "std": 1.0},
    )(spectrogram)[0]
    colours = np.round(matplotlib.colormaps["magma"](smooth)[..., :3] * 255).astype(np.uint8)
    theirs = processor(
        Image.fromarray(colours), size={"height": 32, "width": 32}, do_center_crop=False, return_tensors="pt"
    )["pixel_values"][0]
    step = 1 / 255 / min(processor.image_std)
    assert (ours - theirs).abs().max() < 2 * step  # the processor rounds to whole levels


def test_half_precision_is_kept_where_asked_and_refused_where_it_overflows(tmp_path: Path) -> None:
    data = audio_set(tmp_path / "data", num_tracks=4)
    bodies.write(tmp_path / "body", "wav2vec2")
    embed(data, config(tmp_path / "body", segment=0.5))
    _, exact = layers.read(data / "embeddings.parquet", layer="last", pooling="mean")
    embed(data, config(tmp_path / "body", segment=0.5, storage="float16"))
    _, rounded = layers.read(data / "embeddings.parquet", layer="last", pooling="mean")
    np.testing.assert_array_equal(rounded, exact.astype(np.float16).astype(np.float32))

    from safetensors.torch import load_file, save_file

    path = tmp_path / "body" / "model.safetensors"
    state = load_file(path)
    state["encoder.layer_norm.weight"] *= 1e6
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(GenreproError, match=r"storage = float16, but an embedding is \d+, too large for it"):
        embed(data, config(tmp_path / "body", segment=0.5, storage="float16"))


def test_a_body_of_audio_and_a_data_set_of_pictures_do_not_fit(tmp_path: Path) -> None:
    bodies.write(tmp_path / "body", "wav2vec2")
    with pytest.raises(GenreproError, match=r"hears audio, but synthetic holds pictures"):
        embed(picture_set(tmp_path / "data"), config(tmp_path / "body"))


def test_only_bodies_of_pictures_are_built_whole(tmp_path: Path) -> None:
    bodies.write(tmp_path / "body", "wav2vec2")
    section = config(tmp_path / "body").architecture()
    with pytest.raises(GenreproError, match=r"is a body from audio, which stays frozen"):
        models.build("pretrained", section, num_genres=3, inputs={})
    with pytest.raises(GenreproError, match=r"embeddings without the body that made them"):
        models.build("pretrained", {**section, "weights": "none"}, num_genres=3, inputs={})


# Code and no test module: torchrun starts it in every process.
SCRIPT = """
import sys
from genrepro.exact.numerics import pin, use_torch
pin()
from pathlib import Path
from support.builders import make_params
from genrepro.base import devices
from genrepro.embed import chunks
data, body = map(Path, sys.argv[1:])
use_torch(0)
params = make_params(model="pretrained", pretrained={"weights": str(body), "segment": 0.5})
chunks.keep(params, data=data, target=data / "embeddings.parquet", compute=devices.compute("32-true"))
"""


def test_two_processes_share_the_chunks_and_give_the_bytes_of_one(warm: Path, tmp_path: Path) -> None:
    data = audio_set(tmp_path / "data")
    bodies.write(tmp_path / "body", "wav2vec2")
    table = data / "embeddings.parquet"
    wanted = make_params(model="pretrained", pretrained={"weights": str(tmp_path / "body"), "segment": 0.5})
    use_torch(0)
    chunks.keep(wanted, data=data, target=table, compute=COMPUTE)
    alone = table.read_bytes()
    table.unlink()
    processes.in_two(SCRIPT, data, tmp_path / "body", python=warm / "python")
    assert table.read_bytes() == alone
