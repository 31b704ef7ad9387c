"""Claims about rendering: the workers change no byte, no track disappears, half a table is never seen."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from builders import ROOT, make_catalog, make_mel_params, make_music

from genrepro import audio, mel, render, schema

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


def catalog() -> pa.Table:
    names = [f"a.{number:05d}" for number in range(NUM_TRACKS)]
    return make_catalog(
        [
            {
                "track_id": name,
                "genre": "a",
                "path": f"{name}.wav",
                "fault": "declared" if name == DECLARED else None,
            }
            for name in names
        ]
    )


def rendered(raw: Path, folder: Path, *, num_workers: int = 1) -> dict[str, bytes]:
    render.render(
        catalog(),
        raw=raw,
        params=make_mel_params(),
        mel_path=folder / "mel.parquet",
        levels_path=folder / "levels.parquet",
        num_workers=num_workers,
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_number_of_workers_changes_no_byte(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert rendered(raw, tmp_path / "one") == rendered(raw, tmp_path / "two", num_workers=2)


def test_every_track_keeps_its_row_in_order(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path)
    expected = catalog()["track_id"]
    assert pq.read_table(tmp_path / "mel.parquet")["track_id"].equals(expected)
    assert pq.read_table(tmp_path / "levels.parquet")["track_id"].equals(expected)


@pytest.mark.parametrize(("track_id", "reason"), [(UNDECODABLE, "undecodable: "), (DECLARED, "declared")])
def test_a_faulty_track_has_no_frames_and_says_why(
    raw: Path, tmp_path: Path, track_id: str, reason: str
) -> None:
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
    assert level["duration"] == 0.5
    assert (level["peak"], level["clipped_share"]) == audio.levels(samples)


def test_the_table_says_how_it_was_made(raw: Path, tmp_path: Path) -> None:
    rendered(raw, tmp_path)
    description = schema.read_mel_description(tmp_path / "mel.parquet")
    assert description == mel.describe(make_mel_params())


def test_a_picture_that_is_no_spectrogram_keeps_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("these are words")
    render.render(
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
    assert level == {"track_id": "a.0", "duration": None, "peak": None, "clipped_share": None}


def test_killed_halfway_leaves_no_table_and_starts_again(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for path in raw.iterdir():
        (tmp_path / "raw" / path.name).symlink_to(path)
    stuck = tmp_path / "raw" / "a.00012.wav"
    stuck.unlink()
    os.mkfifo(stuck)  # nobody writes to it, so that rendering waits here for ever: surely halfway
    script = (
        "import sys; from pathlib import Path; import test_render\n"
        "test_render.rendered(Path(sys.argv[1], 'raw'), Path(sys.argv[1], 'out'))\n"
    )
    (tmp_path / "out").mkdir()
    paths = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], env={**os.environ, "PYTHONPATH": paths}
    ) as renderer:
        while not list((tmp_path / "out").glob("mel.parquet*")) and renderer.poll() is None:
            time.sleep(0.05)
        renderer.send_signal(signal.SIGKILL)
    assert renderer.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mel.parquet.partial"]

    stuck.unlink()
    stuck.symlink_to(raw / "a.00012.wav")
    (tmp_path / "whole").mkdir()
    assert rendered(tmp_path / "raw", tmp_path / "out") == rendered(raw, tmp_path / "whole")
