"""Croissant metadata (https://mlcommons.org/croissant) of a data set's catalog, split and audit.

The metadata describe tracks.csv, which `tracks` makes: one row a track, without audio.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError
from genrepro.publish.licences import Licence

_COLUMNS = {
    "track_id": "name of the track, unique",
    "genre": "label",
    "artist": "artist, as far as known",
    "album": "album, as far as known",
    "title": "title, as far as known",
    "path": "file below the raw data",
    "sha256": "hash of the file",
    "duration": "s, from the file's header",
    "split": "train, validation, test or excluded",
    "findings": "what the audit found, joined by semicolons",
    "duplicate_group": "first track of the cluster that holds the same recording",
}


def tracks(folder: Path) -> pd.DataFrame:
    """Catalog, split and audit of data/<dataset> in one table, sorted by track."""
    catalog = tables.read(folder / "catalog.parquet", tables.CATALOG).to_pandas()
    split = tables.read_split(folder / "split.csv").drop_duplicates("track_id")[["track_id", "split"]]
    rows = catalog.merge(split, how="left", on="track_id")
    audit = tables.read(folder / "audit.parquet", tables.AUDIT).to_pandas()
    audit["findings"] = [";".join(reasons) for reasons in audit["reasons"]]
    rows = rows.merge(audit[["track_id", "findings", "duplicate_group"]], how="left", on="track_id")
    return rows[list(_COLUMNS)].sort_values("track_id", ignore_index=True)


def metadata(table: Path, *, dataset: str, licence: Licence) -> dict[str, Any]:
    """The Croissant description of tracks.csv, as JSON-LD.

    Raises
    ------
    GenreproError
        If mlcroissant is not installed.
    """
    try:
        import mlcroissant as mlc
    except ModuleNotFoundError as error:
        raise GenreproError(
            'Croissant metadata need mlcroissant, which is not installed: `pip install "genrepro[publish]"`.'
        ) from error
    fields = [
        mlc.Field(
            id=f"tracks/{name}",
            name=name,
            description=words,
            data_types=mlc.DataType.FLOAT if name == "duration" else mlc.DataType.TEXT,
            source=mlc.Source(file_object="tracks.csv", extract=mlc.Extract(column=name)),
        )
        for name, words in _COLUMNS.items()
    ]
    described = mlc.Metadata(
        name=f"genrepro-{dataset}",
        description=f"Catalog, split and audit of {dataset} as genrepro made them. {licence.words} No audio.",
        license=[licence.url],
        url=licence.url if licence.url.startswith("http") else None,
        version="1.0.0",
        distribution=[
            mlc.FileObject(
                id="tracks.csv",
                name="tracks.csv",
                content_url="tracks.csv",
                encoding_formats=["text/csv"],
                sha256=files.sha256(table),
            )
        ],
        record_sets=[mlc.RecordSet(id="tracks", name="tracks", key="tracks/track_id", fields=fields)],
    )
    return described.to_json()
