"""The tracks of data/<dataset>/: what each is, its side of the split, what the model said of it."""

from pathlib import Path

import numpy as np
import pandas as pd

from genrepro.base import tables

VIEWS = ("wrong test tracks", "all test tracks", "duplicates", "suspects", "all tracks")
COLUMNS = ["track_id", "genre", "artist", "title", "side", "predicted", "note"]
MAX_ROWS = 500


class Collection:
    """A data set as the stages left it.

    Parameters
    ----------
    folder : Path
        data/<dataset>, after `dvc repro`.
    predictions : Path
        metrics/predictions.csv. Used only if its tracks are this data set's.
    """

    def __init__(self, folder: Path, predictions: Path) -> None:
        self.folder = folder
        rows = tables.read(folder / "catalog.parquet", tables.CATALOG).to_pandas()
        split = tables.read_split(folder / "split.csv").drop_duplicates("track_id")
        self.side = split.set_index("track_id")["split"]
        rows = rows.merge(split[["track_id", "split"]].rename(columns={"split": "side"}), how="left")
        rows["predicted"] = None
        if predictions.exists():
            said = tables.read_predictions(predictions)[["track_id", "predicted"]]
            if set(said["track_id"]) <= set(rows["track_id"]):
                rows = rows.drop(columns="predicted").merge(said, how="left")
        self.tracks = rows.set_index("track_id", drop=False)
        self.genres = sorted(rows["genre"].unique())

    def select(self, view: str, *, genre: str | None = None, artist: str = "") -> pd.DataFrame:
        """At most `MAX_ROWS` tracks of a view, with the columns `COLUMNS`.

        Parameters
        ----------
        view : str
            One of `VIEWS`.
        genre : str, optional
        artist : str
            A part of the artist's name; case does not matter.
        """
        rows = self.tracks.assign(note="")
        if view == "wrong test tracks":
            rows = rows[rows["predicted"].notna() & (rows["predicted"] != rows["genre"])]
        elif view == "all test tracks":
            rows = rows[rows["side"] == "test"]
        elif view in ("duplicates", "suspects"):
            notes = self._duplicates() if view == "duplicates" else self._suspects()
            rows = rows.loc[[name for name in notes.index if name in rows.index]]
            rows = rows.assign(note=notes.loc[rows.index])
        if genre:
            rows = rows[rows["genre"] == genre]
        if artist.strip():
            rows = rows[rows["artist"].fillna("").str.contains(artist.strip(), case=False, regex=False)]
        return rows[COLUMNS].head(MAX_ROWS).fillna("").reset_index(drop=True)

    def sound(self, track_id: str) -> Path | None:
        """The file of a track, if it is a regular file in the data set's own folder."""
        path = self.tracks.loc[track_id, "path"] if track_id in self.tracks.index else None
        if not isinstance(path, str):
            return None
        raw = (self.folder / "raw").resolve()
        file = raw / path
        # DVC may link the file itself into its cache; a folder that leads elsewhere is not followed.
        inside = file.parent.resolve().is_relative_to(raw) and ".." not in Path(path).parts
        return file if inside and file.is_file() and _of_cache(file, self.folder) else None

    def spectrogram(self, track_id: str) -> np.ndarray | None:
        """A track's row of mel.parquet [shape=(num_frames, num_mels), dtype=float16], dB."""
        import pyarrow.parquet as pq

        table = pq.read_table(self.folder / "mel.parquet", filters=[("track_id", "=", track_id)])
        for row in table.to_pylist():
            if row["mel"] is not None:
                return tables.unpack_mel(row["mel"], num_mels=row["num_mels"])
        return None

    def _duplicates(self) -> pd.Series:
        """By track, which other tracks hold the same recording."""
        path = self.folder / "duplicates.csv"
        pairs = pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else pd.DataFrame()
        notes: dict[str, list[str]] = {}
        for pair in pairs.to_dict("records"):
            for one, other in (("first", "second"), ("second", "first")):
                notes.setdefault(pair[one], []).append(pair[other])
        return pd.Series({name: "same as " + ", ".join(notes[name]) for name in sorted(notes)}, dtype=object)

    def _suspects(self) -> pd.Series:
        """By track, the likelier label: suspects.csv, which `genrepro suspects` writes."""
        path = self.folder / "suspects.csv"
        if not path.exists():
            return pd.Series(dtype=object)
        rows = pd.read_csv(path, dtype={"track_id": str}, keep_default_na=False).head(MAX_ROWS)
        return pd.Series(
            [f"likelier {row.likelier} ({row.likelier_probability:.2f})" for row in rows.itertuples()],
            index=rows["track_id"],
            dtype=object,
        )


def _of_cache(file: Path, folder: Path) -> bool:
    """Whether a link leads to DVC's cache. A file that is no link is in the folder itself."""
    if not file.is_symlink():
        return True
    return file.resolve().is_relative_to((folder.parents[1] / ".dvc" / "cache").resolve())
