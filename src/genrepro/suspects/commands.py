"""`genrepro suspects`."""

from pathlib import Path
from typing import Annotated

import typer

from genrepro.base import files, params, tables
from genrepro.base.errors import GenreproError, one_line
from genrepro.compare import revisions
from genrepro.experiments import entries, folds

_Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A recorded experiment with folds; default: the test tracks of metrics/predictions.csv.",
    ),
]
_Labels = Annotated[int, typer.Option(min=1, help="Labels shown on the page.")]


def suspects(name: _Name = None, labels: _Labels = 100) -> None:
    """Rank tracks whose label is probably wrong, and show and play the first ones on a page."""
    from genrepro.suspects.page import write_suspects
    from genrepro.suspects.ranking import rank

    if name is None:
        dataset, runs = params.load().dataset, [revisions.read(revisions.WORKSPACE)]
    else:
        dataset, runs = _recorded(name)
    folder = Path("data", dataset)
    ranked = rank(runs)
    catalog = tables.read(
        folder / "catalog.parquet", tables.CATALOG, columns=["track_id", "artist", "title", "path"]
    )
    unknown = sorted(set(ranked["track_id"]) - set(catalog["track_id"].to_pylist()))
    if unknown:
        raise GenreproError(
            f"{folder / 'catalog.parquet'} has no track {unknown[0]}: the predictions are of other data."
        )
    page = folder / "suspects.html"
    write_suspects(page, ranked, mel_path=folder / "mel.parquet", catalog=catalog, num_labels=labels)
    files.write_csv(folder / "suspects.csv", ranked.columns.tolist(), ranked.to_numpy(object))
    print(f"{int(ranked['wrong'].sum())} of {len(ranked)} labels are probably wrong; the first:")
    for row in ranked.head(10).itertuples():
        print(
            f"  {one_line(str(row.track_id))}: {row.genre} {row.own_probability:.2f}, "
            f"{row.likelier} {row.likelier_probability:.2f}"
        )
    print(page)


def _recorded(name: str) -> tuple[str, list[revisions.Predictions]]:
    """The data set of an experiment with folds, and the pooled predictions of its seeds."""
    (experiment, *others) = entries.select(entries.load(), [name])
    if others or not experiment.params.split.folds:
        raise GenreproError(
            f"{name} is not one experiment with folds: only there is every track judged by models that did "
            "not train on it."
        )
    paths = [path for seed in experiment.seeds if (path := folds.path(experiment.name, seed)).exists()]
    if not paths:
        raise GenreproError(
            f"{name} has no pooled predictions yet: `genrepro experiment run {name}`, then `genrepro "
            "experiment collect`."
        )
    return experiment.params.dataset, [revisions.read(str(path)) for path in paths]
