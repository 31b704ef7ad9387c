"""Claims about rendering: workers and kills change no byte, no track disappears, nothing is done twice."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from support.builders import ROOT, make_catalog, make_mel_params, make_music

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError
from genrepro.exact import numerics
from genrepro.render import engines, journal, write
from genrepro.spectrogram import audio, mel

NUM_TRACKS = 18  # three chunks of work
UNDECODABLE, DECLARED = "a.00005", "a.00011"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for number in range(NUM_TRACKS):
        sound = make_music(duration=0.5, sample_rate=8000, seed=number)
        soundfile.write(folder / f"a.{number:05d}.wav", sound, 8000)
    (folder / f"{UNDECODABLE}.wav").write_text("these are words")
    return folder


def catalog(raw: Path) -> pa.Table:
    names = [f"a.{number:05d}" for number in range(NUM_TRACKS)]
    return make_catalog(
        [
            {
                "track_id": name,
                "genre": "a",
                "path": f"{name}.wav",
                "sha256": files.sha256(raw / f"{name}.wav"),
                "fault": "declared" if name == DECLARED else None,
            }
            for name in names
        ]
    )


def rendered(
    raw: Path, folder: Path, *, table: pa.Table | None = None, n_mels: int = 16, **changes: Any
) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    write.render(
        catalog(raw) if table is None else table,
        raw=raw,
        params=make_mel_params(n_mels=n_mels),
        mel_path=folder / "mel.parquet",
        levels_path=folder / "levels.parquet",
        **{"num_workers": 1, **changes},
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_number_of_workers_changes_no_byte(raw: Path, tmp_path: Path) -> None:
    assert rendered(raw, tmp_path / "one") == rendered(raw, tmp_path / "two", num_workers=2)


def test_every_track_keeps_its_row_in_order(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path)
    expected = catalog(raw)["track_id"]
    assert pq.read_table(tmp_path / "mel.parquet")["track_id"].equals(expected)
    assert pq.read_table(tmp_path / "levels.parquet")["track_id"].equals(expected)


def test_a_faulty_track_has_no_frames_and_says_why(
    raw: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for track_id, reason in [(UNDECODABLE, "undecodable: "), (DECLARED, "declared")]:
        with subtests.test(reason=reason):
            rendered(raw, tmp_path)
            rows = {row["track_id"]: row for row in pq.read_table(tmp_path / "mel.parquet").to_pylist()}
            row = rows.pop(track_id)
            assert (row["mel"], row["num_frames"]) == (None, 0) and row["fault"].startswith(reason)
            assert sum(other["fault"] is not None for other in rows.values()) == 1


def test_a_row_holds_the_tracks_spectrogram_and_levels(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path)
    params = make_mel_params()
    samples, _ = soundfile.read(raw / "a.00017.wav", dtype="float32")
    expected = mel.log_mel(samples, params=params).astype(np.float16)
    row = pq.read_table(tmp_path / "mel.parquet").to_pylist()[17]
    assert (row["num_frames"], row["num_mels"], row["fault"]) == (*expected.shape, None)
    np.testing.assert_array_equal(np.frombuffer(row["mel"], "<f2").reshape(expected.shape), expected)
    level = pq.read_table(tmp_path / "levels.parquet").to_pylist()[17]
    expected_levels = dataclasses.asdict(audio.levels(samples, sample_rate=8000))
    assert level == {"track_id": "a.00017", **expected_levels}
    assert level["duration"] == 0.5


def test_the_table_says_how_it_was_made(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path)
    description = tables.read_mel_description(tmp_path / "mel.parquet")
    assert description == mel.describe(make_mel_params())


def test_a_picture_that_is_no_spectrogram_keeps_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("these are words")
    write.render(
        make_catalog([{"track_id": "a.0", "genre": "a", "path": "a.png"}]),
        raw=tmp_path,
        params=make_mel_params(),
        mel_path=tmp_path / "mel.parquet",
        levels_path=tmp_path / "levels.parquet",
        num_workers=1,
    )
    [row] = pq.read_table(tmp_path / "mel.parquet").to_pylist()
    assert row["fault"].startswith("not_a_spectrogram: not readable as a picture")
    [level] = pq.read_table(tmp_path / "levels.parquet").to_pylist()
    assert level == {**dict.fromkeys(tables.LEVELS.names), "track_id": "a.0"}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that this process decodes, as it does."""
    names: list[str] = []
    decode = audio.decode_with_levels

    def spy(path: Path, *, sample_rate: int) -> tuple[np.ndarray, audio.Levels]:
        names.append(path.stem)
        return decode(path, sample_rate=sample_rate)

    monkeypatch.setattr(audio, "decode_with_levels", spy)
    return names


def tracks(start: int, stop: int) -> list[str]:
    """Names of the tracks that are decoded when a range is rendered."""
    names = [f"a.{number:05d}" for number in range(start, stop)]
    return [name for name in names if name != DECLARED]


@pytest.fixture(scope="module")
def killed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a renderer was killed with eight of eighteen tracks finished.

    A named pipe that nobody writes to stands in for a file, so that rendering waits there for ever.
    """
    folder = tmp_path_factory.mktemp("killed")
    copy, out = folder / "raw", folder / "out"
    copy.mkdir()
    for path in raw.iterdir():
        (copy / path.name).symlink_to(path)
    stuck = copy / "a.00012.wav"
    stuck.unlink()
    os.mkfifo(stuck)
    script = (
        "import sys, conftest; from pathlib import Path; import test_write\n"
        "raw, whole, out = map(Path, sys.argv[1:])\n"
        "test_write.rendered(raw, out, table=test_write.catalog(whole))\n"
    )
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests", "tests/render"))
    with subprocess.Popen(
        [sys.executable, "-c", script, copy, raw, out], env={**os.environ, "PYTHONPATH": paths}
    ) as renderer:
        while not list(out.glob("mel.partial/*.arrow")) and renderer.poll() is None:
            time.sleep(0.02)
        renderer.send_signal(signal.SIGKILL)
    assert renderer.returncode == -signal.SIGKILL
    return out


@pytest.fixture
def interrupted(killed: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(killed, tmp_path / "out")


def test_killed_halfway_leaves_no_table_and_does_the_rest_alone(
    interrupted: Path, raw: Path, tmp_path: Path, decoded: list[str]
) -> None:
    assert not {"mel.parquet", "levels.parquet"} & {path.name for path in interrupted.iterdir()}
    resumed = rendered(raw, interrupted)
    assert decoded == tracks(8, NUM_TRACKS)
    assert resumed == rendered(raw, tmp_path / "whole")


def test_the_number_of_tracks_that_were_already_rendered_is_told(interrupted: Path, raw: Path) -> None:
    arguments = {
        "raw": raw,
        "params": make_mel_params(),
        "mel_path": interrupted / "mel.parquet",
        "levels_path": interrupted / "levels.parquet",
        "num_workers": 1,
    }
    assert write.render(catalog(raw), **arguments) == 8
    assert write.render(catalog(raw), **arguments) == 0  # nothing is kept beside finished tables


@pytest.mark.parametrize("change", ["parameter", "file", "fault", "library", "code", "arithmetic"])
def test_what_another_cause_has_rendered_is_done_again(
    interrupted: Path, raw: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    table, expected, n_mels = catalog(raw), tracks(0, NUM_TRACKS), 16
    rows = table.to_pylist()
    if change == "parameter":
        n_mels = 17
    elif change == "file":
        rows[0]["sha256"] = "of other content"
    elif change == "fault":
        rows[0]["fault"], expected = "found since", tracks(1, NUM_TRACKS)
    else:
        key = {"library": "soxr", "code": "code", "arithmetic": "arithmetic"}[change]
        other = {**journal.identity(), key: "other"}
        monkeypatch.setattr(journal, "identity", lambda: other)
    rendered(raw, interrupted, table=make_catalog(rows), n_mels=n_mels)
    assert decoded == expected


@pytest.mark.parametrize("kept", [0, 100, -1], ids=["nothing", "its beginning", "all but a byte"])
def test_a_damaged_part_is_done_again(
    interrupted: Path, raw: Path, tmp_path: Path, decoded: list[str], kept: int
) -> None:
    [part] = interrupted.glob("mel.partial/*.arrow")
    part.write_bytes(part.read_bytes()[:kept])
    assert rendered(raw, interrupted) == rendered(raw, tmp_path / "whole")
    assert decoded[: NUM_TRACKS - 1] == tracks(0, NUM_TRACKS)


def test_a_code_change_is_seen_in_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = journal.identity()
    monkeypatch.setattr(journal, "_CODE", (*journal._CODE, "audit/faults.py"))
    assert journal.identity.__wrapped__()["code"] != before["code"]


def test_a_file_that_is_gone_is_no_fault_of_the_track(raw: Path, tmp_path: Path) -> None:
    table = make_catalog([{"track_id": "a.0", "genre": "a", "path": "gone.wav"}])
    with pytest.raises(GenreproError, match=r"gone\.wav of the catalog is missing"):
        rendered(raw, tmp_path / "out", table=table)


def test_an_error_in_a_worker_process_is_one_sentence_too(raw: Path, tmp_path: Path) -> None:
    table = make_catalog([{"track_id": "a.0", "genre": "a", "path": "gone.wav"}])
    with pytest.raises(GenreproError, match=r"gone\.wav of the catalog is missing"):
        rendered(raw, tmp_path / "out", table=table, num_workers=2)


def test_a_catalog_without_tracks_gives_empty_tables(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path / "out", table=make_catalog([]))
    assert pq.read_table(tmp_path / "out" / "mel.parquet").num_rows == 0


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=sys.argv[1]
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module", params=["pinned", "unpinned"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A Dask cluster of two worker processes that run in a folder of their own; its address."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "cluster.py").write_text(CLUSTER)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    if request.param == "unpinned":
        env.pop("NPY_DISABLE_CPU_FEATURES")
    with subprocess.Popen(
        [sys.executable, "cluster.py", folder],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdin
        yield request.param, process.stdout.readline().strip()
        process.stdin.close()


def test_a_dask_cluster_gives_the_same_bytes_or_says_why_not(
    cluster: tuple[str, str], raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, address = cluster
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    monkeypatch.chdir(raw.parent)
    relative = raw.relative_to(raw.parent)
    if kind == "unpinned":
        with pytest.raises(
            GenreproError, match=r"arithmetic: native, here pinned.*genrepro\.exact\.numerics"
        ):
            rendered(relative, tmp_path / "dask", backend="dask")
    else:
        there = rendered(relative, tmp_path / "dask", backend="dask")
        assert there == rendered(raw, tmp_path / "here", num_workers=2)


@pytest.mark.parametrize(
    ("backend", "address", "sentence"),
    [
        ("slurm", None, "'slurm' is unknown: choose loky, dask, ray"),
        ("dask", None, "export DASK_SCHEDULER_ADDRESS=tcp://host:8786"),
        (
            "dask",
            "tcp://127.0.0.1:9",
            "No Dask scheduler answers at DASK_SCHEDULER_ADDRESS=tcp://127.0.0.1:9",
        ),
        ("ray", None, "export RAY_ADDRESS=host:6379"),
        ("ray", "127.0.0.1:9", "needs `pip install ray`"),
    ],
)
def test_an_engine_that_cannot_be_used_says_so_in_a_sentence(
    raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    address: str | None,
    sentence: str,
) -> None:
    monkeypatch.setattr(engines, "_PATIENCE", 0.5)
    monkeypatch.setitem(sys.modules, "ray", None)
    for variable in ("DASK_SCHEDULER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
        if address is not None:
            monkeypatch.setenv(variable, address)
    with pytest.raises(GenreproError) as caught:
        rendered(raw, tmp_path / "out", backend=backend)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("how", [["--backend", "slurm"], []], ids=["option", "variable"])
def test_the_stage_hands_the_backend_on(warm: Path, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    data = tmp_path / "data" / "synthetic"
    table = make_catalog([{"track_id": "a.0", "genre": "a", "path": "a.wav"}])
    files.write_parquet(data / "catalog.parquet", [table], tables.CATALOG)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    done = subprocess.run(
        [warm / "python", "-m", "stages.render", *how],
        cwd=tmp_path,
        env=env if how else {**env, "GENREPRO_BACKEND": "slurm"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("genrepro: The backend 'slurm' is unknown")


def test_the_printed_variables_pin_a_process() -> None:
    clean = {name: value for name, value in os.environ.items() if name not in numerics._PINNED}
    check = "from genrepro.exact.numerics import pinned; print(pinned())"
    script = f'eval "$({{0}} -m genrepro.exact.numerics)"; {{0}} -c "{check}"'
    done = subprocess.run(
        ["sh", "-c", script.format(sys.executable)],
        env={**clean, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
