"""The whole pipeline from what people download: over HTTP that breaks, from archives and from folders."""

import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.layouts import gtzan_clips, small_fma, write_fma, write_gtzan_tar
from support.project import Project, copy_of_the_checkout, stages_run
from support.server import Fault, Server

pytestmark = pytest.mark.pipeline

STAGES = ["download", "catalog", "render", "audit", "split", "features", "train", "evaluate"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GTZAN's tar and FMA's zips, a few tracks of each genre."""
    folder = tmp_path_factory.mktemp("site")
    write_gtzan_tar(folder / "genres.tar.gz", gtzan_clips(per_side=2, duration=3.0))
    write_fma(folder, *small_fma(per_genre=7, duration=1.0))
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def project(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One small checkout for all data sets, as a user has one; its downloads lie outside."""
    folder = tmp_path_factory.mktemp("archives")
    project = copy_of_the_checkout(folder / "genrepro")
    project.environment["GENREPRO_CACHE"] = str(folder / "cache")
    project.environment["GENREPRO_REMOTES"] = str(folder / "remotes.json")
    return project


def repro(project: Project) -> list[str]:
    return stages_run(project.run("dvc", "repro").stdout)


def faults(project: Project, dataset: str) -> dict[str, str]:
    table = pq.read_table(project.path / "data" / dataset / "catalog.parquet", columns=["track_id", "fault"])
    return {
        row["track_id"]: row["fault"] for row in table.to_pylist() if row["fault"] not in (None, "missing")
    }


def test_gtzan_over_a_bad_line_from_its_archive_and_from_its_folder(
    site: Path, project: Project, server: Server, tmp_path: Path
) -> None:
    """The first mirror shows a page; the second breaks off twice."""
    content = (site / "genres.tar.gz").read_bytes()
    num_clips = len(gtzan_clips(per_side=2, duration=0.01))
    page = server.serve("/page", b"<!doctype html><html>Sign in</html>")
    mirror = server.serve("/genres.tar.gz", content)
    third = len(content) // 3
    server.queue("/genres.tar.gz", Fault(drop_after=third), Fault(drop_after=third))
    project.declare(gtzan_original=(site / "genres.tar.gz", [page, mirror]))
    project.set(dataset="gtzan", source="auto")
    assert repro(project) == STAGES
    assert server.ranges("/genres.tar.gz") == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    counts = project.json("catalog")
    assert (counts["num_tracks"], counts["num_missing"], counts["num_genres"]) == (
        1000,
        999 - num_clips,
        10,
    )
    assert list(faults(project, "gtzan")) == ["jazz.00054"]
    split = project.json("split")
    assert split["num_train"] + split["num_validation"] + split["num_test"] == num_clips
    assert split["num_excluded"] == 1000 - num_clips and split["leaky"] == 0
    assert project.json("test")["num_tracks"] == split["num_test"]

    # The same files, however they come: nothing after the download runs again.
    project.set(source=str(site / "genres.tar.gz"))
    assert repro(project) == ["download"]
    with tarfile.open(site / "genres.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    project.set(source=str(tmp_path / "genres"))
    assert repro(project) == ["download"]
    project.set(source=mirror)
    assert repro(project) == ["download"]

    # The fault-filtered lists are followed exactly, with the tracks that are there.
    project.set(split={"strategy": "official"})
    project.run("dvc", "repro", "split")
    rows = [line.split(",") for line in (project.path / "data/gtzan/split.csv").read_text().splitlines()[1:]]
    declared = {row["track_id"]: row["official_split"] for row in official(project)}
    assert all(declared[track_id] == side for track_id, side, _ in rows if side != "excluded")
    assert ["jazz.00054", "excluded", "undecodable"] in rows
    project.set(split={"strategy": "artist"}, source="auto")


def official(project: Project) -> list[dict]:
    path = project.path / "data" / "gtzan" / "catalog.parquet"
    return pq.read_table(path, columns=["track_id", "official_split"]).to_pylist()


@pytest.mark.parametrize("dataset", ["fma_small", "fma_mini"])
def test_fma_over_a_bad_line_from_its_archives_and_from_their_folders(
    dataset: str, site: Path, project: Project, server: Server, tmp_path: Path
) -> None:
    """A mirror announces more than it sends; the other breaks off twice. What is kept is asked for no
    more."""
    paths = {name: site / f"{name}.zip" for name in ("fma_metadata", "fma_small")}
    for name, path in paths.items():
        server.serve(f"/short/{name}.zip", path.read_bytes())
        server.serve(f"/{name}.zip", path.read_bytes())
    size = paths["fma_small"].stat().st_size
    server.queue("/short/fma_small.zip", Fault(num_announced=size + 1000))
    server.queue("/fma_small.zip", Fault(drop_after=10_000), Fault(drop_after=10_000))
    mirrors = {
        name: [server.url(f"/short/{name}.zip"), server.url(f"/{name}.zip")]
        for name in ("fma_metadata", "fma_small")
    }
    project.declare(**{name: (path, mirrors[name]) for name, path in paths.items()})
    project.set(dataset=dataset, source="auto", split={"strategy": "official"})
    ran = stages_run(project.run("dvc", "repro", "split").stdout)  # after that it is as GTZAN
    assert ran == STAGES[:5]
    if dataset == "fma_small":
        assert len(server.ranges("/short/fma_small.zip")) >= 1
        assert server.ranges("/fma_small.zip") == [None, "bytes=10000-", "bytes=20000-"]
    else:
        assert not server.asked
    small = dataset == "fma_small"
    counts = project.json("catalog")
    assert counts["num_tracks"] == 8 * 7 + (4 if small else 2)
    assert counts["num_missing"] == 1 and counts["num_left_out_no_metadata"] == 1
    assert set(faults(project, dataset)) == ({"098565", "133297"} if small else set())
    audit = project.json("audit")
    assert audit["num_short"] == 1 and audit["official_shared_artists"] == 0
    split = project.json("split")
    assert (split["num_train"], split["num_validation"], split["num_test"]) == (8 * 4, 8 * 2, 8)
    assert split["shared_artists"] == 0 and split["leaky"] == 0

    if small:  # the same files from folders: nothing after the download runs again
        for path in paths.values():
            with zipfile.ZipFile(path) as archive:
                archive.extractall(tmp_path)
        project.set(source=str(tmp_path))
        assert stages_run(project.run("dvc", "repro", "split").stdout) == ["download"]
    project.set(split={"strategy": "artist"}, source="auto")


def test_a_dead_network_names_the_local_way(project: Project) -> None:
    project.declare(gtzan_original=(Path(__file__), ["http://127.0.0.1:9/genres.tar.gz"]))
    remotes = Path(project.environment["GENREPRO_REMOTES"])
    entries = json.loads(remotes.read_text())
    remotes.write_text(json.dumps(entries | {"gtzan_hugging_face": entries["gtzan_original"]}))
    project.set(dataset="gtzan", source="auto")
    hasty = "from genrepro.download import http; http.BACKOFF = 0; from stages import download, run; "
    done = project.run("python", "-c", f"import stages; {hasty}run(download.main)", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("genrepro: ") and "-S source=" in sentence
