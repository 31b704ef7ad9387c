"""Embed every track of a data set, chunk by chunk, so that a kill loses one chunk at most.

The name of a chunk's file is a hash of everything that determines it: the body's weights, the code, the
libraries, and the tracks. A run goes on from the chunks that are there. While the body works on one chunk, a
thread decodes the next. `torchrun` starts a process for each GPU: they share the chunks, and the first
process writes the table. At most two chunks are in memory.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from genrepro.base import files, tables
from genrepro.base.devices import Compute
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.embed import given, hearing, seeing
from genrepro.exact import dense, numerics
from genrepro.models.shared import layers, published

TRACKS_PER_CHUNK = 8
BATCH_SIZE = 16  # segments; a constant, because the last bits of a result may depend on it
_CODE = ("embed", "models/pretrained.py", "models/shared/drawing.py", "spectrogram/audio.py")
_LIBRARIES = ("numpy", "torch", "transformers", "soxr")

Load = Callable[[dict[str, Any]], np.ndarray]


def keep(config: Params, *, data: Path, target: Path, compute: Compute) -> dict[str, int]:
    """Write the embeddings of all tracks that can be read, or those of a file that others made.

    Parameters
    ----------
    config : Params
        ``pretrained`` describes the body.
    data : Path
        Folder with catalog.parquet, mel.parquet and raw/.
    target : Path
        embeddings.parquet. It stays as it is if it already holds the same.
    compute : devices.Compute
        The device, and the place of this process among those that share the work.

    Returns
    -------
    dict
        ``tracks``, ``segments``, and the tracks ``without`` embeddings. Of a given file also ``unknown``: its
        tracks that the catalog does not have.

    Raises
    ------
    GenreproError
        If the body or the file cannot be read, or no track can be embedded.
    """
    catalog = tables.read(
        data / "catalog.parquet", tables.CATALOG, columns=["track_id", "path", "sha256", "fault"]
    )
    if config.pretrained.embeddings != "none":
        return _given(config.pretrained.embeddings, catalog, target)
    section = config.pretrained
    body = published.load(section.weights, revision=section.revision)
    rows = [row for row in catalog.to_pylist() if row["path"] and row["fault"] is None]
    reader: hearing.Hearing | seeing.Seeing
    source: dict[str, Any]
    if body.kind == "audio":
        if any(row["path"].endswith(".png") for row in rows):
            raise GenreproError(
                f"{published.KEY}: {body.source} hears audio, but {config.dataset} holds pictures: choose a "
                "body of pictures, or a data set of audio."
            )
        reader = hearing.Hearing(body, segment=section.segment, device=compute.device)
        load, source = _samples(data / "raw", reader.rate), {"sample_rate": reader.rate}
    else:
        mel = tables.read_mel_description(data / "mel.parquet")
        reader = seeing.Seeing(body, mel=mel, segment=section.segment, device=compute.device)
        load, source = _spectrograms(data / "mel.parquet"), {"mel": mel}
    description = {
        "kind": body.kind,
        "source": body.source,
        "revision": body.revision,
        "sha256": published.sha256(body.network),
        "num_parameters": sum(parameter.numel() for parameter in body.network.parameters()),
        "parts": list(reader.parts),
        "segment": reader.segment,
        **source,
    }
    return _embed(reader, load, rows, description, config, target=target, compute=compute)


def _embed(
    reader: Any,
    load: Load,
    rows: Sequence[dict[str, Any]],
    description: dict[str, Any],
    config: Params,
    *,
    target: Path,
    compute: Compute,
) -> dict[str, int]:
    identity = {**description, **_arithmetic(compute), "code": _code()}
    chunks = [rows[start : start + TRACKS_PER_CHUNK] for start in range(0, len(rows), TRACKS_PER_CHUNK)]
    folder = target.with_suffix(".partial")
    paths = [folder / f"{_hash([identity, chunk])}.npz" for chunk in chunks]
    storage = config.pretrained.storage
    identity_of_all = _hash([[path.name for path in paths], storage])
    if target.exists() and layers.describe(target).get("identity") == identity_of_all:
        print("these embeddings are there already")
        return _counts(target, len(rows))
    folder.mkdir(parents=True, exist_ok=True)
    if compute.rank == 0:
        for stale in set(folder.iterdir()) - set(paths):
            stale.unlink()
    _wait(compute)
    # Shared by number and not by what is missing, since that changes while the others work.
    mine = list(zip(chunks, paths, strict=True))[compute.rank :: compute.num_processes]
    missing = [(chunk, path) for chunk, path in mine if not path.exists()]
    _run(reader, load, missing, device=compute, initial=len(mine) - len(missing), total=len(mine))
    _wait(compute)
    if compute.rank == 0:
        _merge(paths, {**description, "identity": identity_of_all}, storage=storage, target=target)
        shutil.rmtree(folder)
    return _counts(target, len(rows)) if compute.rank == 0 else {}


def _wait(compute: Compute) -> None:
    """Until all processes are here."""
    if compute.num_processes > 1:
        import torch

        torch.distributed.barrier()


def _run(
    reader: Any,
    load: Load,
    work: Sequence[tuple[Sequence[dict[str, Any]], Path]],
    *,
    device: Compute,
    initial: int,
    total: int,
) -> None:
    """Embed chunks of tracks into their files."""
    import torch

    def loaded(chunk: Sequence[dict[str, Any]]) -> list[list[np.ndarray]]:
        return [reader.cut(samples) if len(samples := load(row)) else [] for row in chunk]

    with (
        torch.inference_mode(),
        dense.arithmetic(device.device),
        ThreadPoolExecutor(1) as pool,
        tqdm(
            total=total * TRACKS_PER_CHUNK,
            initial=initial * TRACKS_PER_CHUNK,
            desc="embed",
            unit=" tracks",
            disable=True if device.rank else None,
        ) as progress,
    ):
        waiting = [pool.submit(loaded, chunk) for chunk, _ in work[:1]]
        for number, (chunk, path) in enumerate(work):
            tracks = waiting.pop().result()
            if number + 1 < len(work):
                waiting.append(pool.submit(loaded, work[number + 1][0]))
            segments = [segment for track in tracks for segment in track]
            found = in_batches(reader, segments)
            track_id = [row["track_id"] for row, track in zip(chunk, tracks, strict=True) for _ in track]
            number_of = [index for track in tracks for index in range(len(track))]
            arrays: dict[str, Any] = {f"layer_{index}": layer for index, layer in enumerate(found)}
            arrays |= {"track_id": np.array(track_id, str), "segment": np.array(number_of, int)}
            with files.replacing(path) as partial, partial.open("wb") as file:
                np.savez(file, **arrays)
            progress.update(TRACKS_PER_CHUNK)


def in_batches(reader: Any, segments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What each layer says of segments of any lengths [shape=(num_segments, size)]."""
    found: list[np.ndarray] = []
    lengths = np.array([len(segment) for segment in segments])
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        for first in range(0, len(members), BATCH_SIZE):
            batch = members[first : first + BATCH_SIZE]
            for index, layer in enumerate(reader([segments[member] for member in batch])):
                if index == len(found):
                    found.append(np.empty((len(segments), layer.shape[1]), np.float32))
                found[index][batch] = layer
    return found


def _merge(paths: Sequence[Path], description: dict[str, Any], *, storage: str, target: Path) -> None:
    def kept() -> Iterator[layers.Rows]:
        for path in paths:
            with np.load(path) as file:
                if len(file["track_id"]):
                    number = sum(name.startswith("layer_") for name in file.files)
                    yield (
                        file["track_id"].tolist(),
                        file["segment"].tolist(),
                        [file[f"layer_{index}"] for index in range(number)],
                    )

    first = next(kept(), None)
    if first is None:
        raise GenreproError("embed: no track of this data set can be read: metrics/catalog.json counts why.")
    largest = max(float(np.abs(layer).max()) for _, _, found in kept() for layer in found)
    if not np.isfinite(largest):
        raise GenreproError(
            f"{published.KEY}: the body gives numbers that are not finite; its file is damaged."
        )
    if storage == "float16" and largest > float(np.finfo(np.float16).max):
        raise GenreproError(
            f"pretrained.storage = float16, but an embedding is {largest:.0f}, too large for it: choose "
            "float32."
        )
    sizes = [layer.shape[1] for layer in first[2]]
    layers.write(target, kept(), sizes=sizes, dtype=storage, description=description)


def _given(source: str, catalog: pa.Table, target: Path) -> dict[str, int]:
    """Keep the embeddings of a file, of the tracks that the catalog has."""
    path = given.locate(source)
    index, vectors = given.read(path)
    known = set(catalog["track_id"].to_pylist())
    used = index["track_id"].isin(known).to_numpy()
    if not used.any():
        raise GenreproError(
            f"{given.KEY}: {path} has no track of this data set; its first is {index['track_id'].iloc[0]!r}, "
            f"the data set's {min(known)!r}."
        )
    description = {"kind": "given", "source": source, "sha256": files.sha256(path), "num_parameters": 0}
    rows = (index["track_id"][used].tolist(), index["segment"][used].tolist(), [v[used] for v in vectors])
    layers.write(
        target,
        [rows],
        sizes=[layer.shape[1] for layer in vectors],
        dtype="float32",
        description={**description, "parts": ["mean"]},
    )
    unknown = index.loc[~used, "track_id"].nunique()
    return {**_counts(target, len(known)), "unknown": unknown}


def _counts(target: Path, num_tracks: int) -> dict[str, int]:
    import pyarrow.parquet as pq

    track_id = pq.read_table(target, columns=["track_id"])["track_id"]
    found = len(track_id.unique())
    return {"tracks": found, "segments": len(track_id), "without": num_tracks - found}


def _samples(raw: Path, rate: int) -> Load:
    from genrepro.spectrogram import audio

    def load(row: dict[str, Any]) -> np.ndarray:
        try:
            return audio.decode(files.require(raw / row["path"]), sample_rate=rate)
        except audio.UndecodableError:
            return np.empty(0, np.float32)  # render and audit say why, and the split leaves it out

    return load


def _spectrograms(mel_path: Path) -> Load:
    """Read tracks of mel.parquet in any order, a row group at a time."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(files.require(mel_path))
    places: dict[str, tuple[int, int]] = {}
    for group in range(file.num_row_groups):
        ids = file.read_row_group(group, columns=["track_id"])["track_id"].to_pylist()
        places |= {track_id: (group, number) for number, track_id in enumerate(ids)}
    held: dict[int, pa.Table] = {}

    def load(row: dict[str, Any]) -> np.ndarray:
        group, number = places[row["track_id"]]
        if group not in held:
            held.clear()
            held[group] = file.read_row_group(group)
        found = held[group].slice(number, 1).to_pylist()[0]
        if not found["num_frames"]:
            return np.empty((0, 0), np.float16)
        return tables.unpack_mel(found["mel"], num_mels=found["num_mels"])

    return load


def _arithmetic(compute: Compute) -> dict[str, str]:
    return {
        **{name: version(name) for name in _LIBRARIES},
        "device": compute.device.type,
        "arithmetic": "pinned" if numerics.pinned() else "native",
    }


def _code() -> str:
    """The hash of the modules that decide what an embedding is."""
    digest = hashlib.sha256()
    for name in _CODE:
        found = resources.files("genrepro").joinpath(name)
        for part in sorted(found.iterdir(), key=lambda one: one.name) if found.is_dir() else [found]:
            if part.name.endswith(".py"):
                digest.update(part.read_bytes())
    return digest.hexdigest()


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:40]
