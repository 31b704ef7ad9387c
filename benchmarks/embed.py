"""Embedding a data set against a bare loop of the same body over the same files.

    python benchmarks/embed.py              about three minutes; --tracks, --rounds for less

The body is a random wav2vec 2.0 of four layers. The bare loop is what one would write by hand: decode a clip,
resample it, run transformers' extractor and network on its three segments of 10 s, and take the mean of each
layer over time. Ours is the stage embed: it decodes while the body works, keeps chunks that survive a kill,
and writes the table. Both have as many threads. They take turns, and the ratio is the median over the rounds.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

from genrepro.exact import numerics

numerics.pin()

import numpy as np
import soundfile
import soxr
import torch
import transformers

from genrepro.base import devices, files, params, tables
from genrepro.base.sections import build, read
from genrepro.embed import chunks
from genrepro.exact import dense
from noop import machine

RATE, CLIP_RATE, SEGMENT = 16_000, 22_050, 10  # Hz, Hz, s


def main() -> None:
    parser = argparse.ArgumentParser(description="Embedding against a bare loop.")
    for name, default in (("tracks", 12), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    wanted = parser.parse_args()
    numerics.use_torch(0)
    compute = devices.compute("32-true")
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        paths = write(data, wanted.tracks)
        values = read(Path("params.yaml"))
        values["model"] = "pretrained"
        values["pretrained"] |= {"weights": str(data / "body"), "segment": float(SEGMENT)}
        config = build(params.Params, values, name="params.yaml", prefix="")
        for _ in range(wanted.rounds):
            begin = time.perf_counter()
            chunks.keep(config, data=data, target=data / "embeddings.parquet", compute=compute)
            ours.append(time.perf_counter() - begin)
            (data / "embeddings.parquet").unlink()
            begin = time.perf_counter()
            loop(data / "body", paths, compute)
            bare.append(time.perf_counter() - begin)
    ratio = statistics.median(theirs / mine for mine, theirs in zip(ours, bare, strict=True))
    figures = {
        "speed_over_bare_loop": round(ratio, 3),
        "ours_tracks_per_s": round(wanted.tracks / statistics.median(ours), 2),
        "bare_tracks_per_s": round(wanted.tracks / statistics.median(bare), 2),
    }
    for name, value in figures.items():
        print(f"{name:<24}{value:>8.2f}")
    print(json.dumps({**figures, "machine": machine()}))


def write(data: Path, num_tracks: int) -> list[Path]:
    """Clips of 30 s, their catalog, and a body."""
    rng = np.random.default_rng(0)
    (data / "raw").mkdir()
    rows = []
    for number in range(num_tracks):
        path = data / "raw" / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(30 * CLIP_RATE), CLIP_RATE)
        rows.append({"track_id": f"{number:03d}", "genre": "rock", "path": path.name, "sha256": str(number)})
    whole = [{name: row.get(name) for name in tables.CATALOG.names} for row in rows]
    table = tables.CATALOG.empty_table().from_pylist(whole, schema=tables.CATALOG)
    files.write_parquet(data / "catalog.parquet", [table], tables.CATALOG)
    config = transformers.Wav2Vec2Config(
        hidden_size=384, num_hidden_layers=4, num_attention_heads=6, intermediate_size=1536
    )
    transformers.Wav2Vec2Model(config).save_pretrained(data / "body")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(data / "body")
    return [data / "raw" / row["path"] for row in rows]


@torch.inference_mode()
def loop(body: Path, paths: list[Path], compute: devices.Compute) -> list[np.ndarray]:
    """What one would write by hand."""
    network = transformers.AutoModel.from_pretrained(body).eval().to(compute.device)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(body)
    found = []
    with dense.arithmetic(compute.device):
        for path in paths:
            samples, rate = soundfile.read(path, dtype="float32")
            samples = soxr.resample(samples, rate, RATE, quality="HQ")
            segments = list(samples[: 30 * RATE].reshape(3, SEGMENT * RATE))
            made = extractor(segments, sampling_rate=RATE, return_tensors="pt").to(compute.device)
            hidden = network(**made, output_hidden_states=True).hidden_states
            found.append(torch.stack([layer.mean(1) for layer in hidden]).cpu().numpy())
    return found


if __name__ == "__main__":
    main()
