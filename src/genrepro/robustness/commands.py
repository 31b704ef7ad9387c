"""`genrepro robustness`."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from genrepro.base import files, params, tables
from genrepro.base.errors import GenreproError
from genrepro.compare import verdict
from genrepro.exact import identity
from genrepro.robustness.measure import Row, measure, report
from genrepro.serve.predictor import Predictor

_Model = Annotated[Path, typer.Option(help="Folder with model.safetensors and model.json.")]
_Md = Annotated[bool, typer.Option("--md", help="Markdown for a pull request.")]
_Csv = Annotated[Path | None, typer.Option("--csv", help="Also write the table to this file.")]


def robustness(model: _Model = Path("models"), md: _Md = False, csv: _Csv = None) -> None:
    """Accuracy on the test tracks as MP3, with noise, louder, muffled, faster: what each change costs."""
    from tqdm import tqdm

    data = Path("data", params.load().dataset)
    tracks = _tested(data)
    predictor = Predictor(model)
    with tqdm(total=len(tracks), unit="track", leave=False, disable=None) as bar:
        rows = measure(predictor, tracks, data / "raw", done=bar.update)
    if csv is not None:
        files.write_csv(csv, _HEADER, [_plain(row) for row in rows])
    found = report(rows)
    print(verdict.markdown(found) if md else verdict.text(found), end="")


_HEADER = ["change", "accuracy", "accuracy_low", "accuracy_high", "difference", "difference_low"]
_HEADER += ["difference_high", "p_value", "num_gained", "num_lost", "num_tracks", "num_groups"]


def _plain(row: Row) -> list[object]:
    pair = row.comparison
    b, change = pair.b, pair.accuracy
    numbers = [b.accuracy, b.low, b.high, change.value, change.low, change.high, change.p_value]
    counts = [len(pair.gained), len(pair.lost), pair.num_tracks, pair.num_groups]
    return [row.change, *(f"{number:.6f}" for number in numbers), *counts]


def _tested(data: Path) -> pd.DataFrame:
    """The test side of the split, with path and group of each track."""
    split = tables.read_split(data / "split.csv")
    if "segment" in split:
        raise GenreproError(
            "robustness needs whole test tracks: the strategy `segment` tests pieces of them."
        )
    tracks = tables.read(
        data / "catalog.parquet", tables.CATALOG, columns=["track_id", "genre", "artist", "path"]
    ).to_pandas()
    clusters = tables.read(data / "audit.parquet", tables.AUDIT, columns=["track_id", "duplicate_group"])
    tracks = tracks.merge(clusters.to_pandas(), on="track_id", validate="one_to_one")
    tracks["group"] = tracks["track_id"].map(identity.group_names(tracks))
    return tracks[tracks["track_id"].isin(split.loc[split["split"] == "test", "track_id"])]
