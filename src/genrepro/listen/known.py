"""Look a file up in the training set: the file itself, another copy of it, and the most similar tracks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrepro.audit import duplicates, fingerprint
from genrepro.base import files, tables
from genrepro.listen.collection import Collection
from genrepro.serve.predictor import Predictor

NUM_NEIGHBOURS = 5
_PROBE = "\0"  # the name of the new file among the fingerprints: no track has it


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A track of the data set that holds the same recording."""

    track_id: str
    side: str
    exact: bool
    """Whether the bytes are equal."""


class Known:
    """Fingerprints of all tracks, and embeddings of the training tracks, made once.

    Parameters
    ----------
    collection : Collection
    predictor : Predictor
        The model must have been trained on this split of this data; ask `fits` before.
    min_similarity : float
        ``audit.min_similarity``: from here on two tracks are one recording.
    """

    def __init__(self, collection: Collection, predictor: Predictor, *, min_similarity: float) -> None:
        path = collection.folder / "mel.parquet"
        self.collection, self.predictor, self.min_similarity = collection, predictor, min_similarity
        self.frame_rate = tables.read_mel_description(path)["frame_rate"]
        self.prints = duplicates.read_fingerprints(path, skip=set(), num_workers=1)
        train = set(collection.side.index[collection.side == "train"])
        self.names, embeddings = [], []
        for row in tables.read_mels(path):
            if row["track_id"] in train and row["mel"] is not None:
                spectrogram = tables.unpack_mel(row["mel"], num_mels=row["num_mels"])
                self.names.append(row["track_id"])
                embeddings.append(predictor.embedding(spectrogram))
        self.embeddings = _normal(np.array(embeddings))

    def neighbours(self, spectrogram: np.ndarray, *, besides: str | None = None) -> list[tuple[str, float]]:
        """The training tracks whose embeddings are nearest, with their cosine similarity."""
        similarity = self.embeddings @ _normal(self.predictor.embedding(spectrogram)[None])[0]
        order = np.argsort(-similarity, kind="stable")
        nearest = [(self.names[place], float(similarity[place])) for place in order]
        return [pair for pair in nearest if pair[0] != besides][:NUM_NEIGHBOURS]

    def copies(self, spectrogram: np.ndarray, content: bytes) -> list[Copy]:
        """The tracks that are this file, byte for byte, or another copy of its recording."""
        digest = hashlib.sha256(content).hexdigest()
        tracks = self.collection.tracks
        exact = set(tracks.index[tracks["sha256"] == digest])
        probe = fingerprint.fingerprint(spectrogram, frame_rate=self.frame_rate)
        names = [_PROBE, *self.prints]
        rate = fingerprint.sketch_rate(self.frame_rate)
        alike = set()
        for one, other in duplicates.candidates([probe, *self.prints.values()]):
            if one == 0:
                sketch = self.prints[names[other]].sketch
                if duplicates.compare(probe.sketch, sketch, rate=rate)[0] >= self.min_similarity:
                    alike.add(names[other])
        return [
            Copy(track_id=name, side=str(self.collection.side.get(name, "no side")), exact=name in exact)
            for name in sorted(exact | alike)
        ]


def fits(collection: Collection, predictor: Predictor) -> str | None:
    """Why the model's training set is not this data set's, or None if it is."""
    path = collection.folder / "mel.parquet"
    if not path.exists():
        return f"{path} is missing: run `dvc repro`"
    if predictor.description["data"]["split_sha256"] != files.sha256(collection.folder / "split.csv"):
        return f"the model was not trained on the split of {collection.folder}"
    described = tables.read_mel_description(path)
    if any(described.get(key) != value for key, value in predictor.description["mel"].items()):
        return f"the model hears other spectrograms than those of {path}"
    return None


def collection_of(data: Path, metrics: Path = Path("metrics")) -> Collection | None:
    """The data set in a folder, or None if the pipeline has not been run there."""
    if not all((data / name).exists() for name in ("catalog.parquet", "split.csv", "mel.parquet")):
        return None
    return Collection(data, metrics / "predictions.csv")


def _normal(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
