"""docs/tutorial.md is true: its commands run, and print what it shows, but for numbers and genres."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.layouts import gtzan_clips, write_gtzan_tar
from support.project import ROOT, Project
from support.server import Server

pytestmark = pytest.mark.pipeline
TUTORIAL = ROOT / "docs" / "tutorial.md"
GENRES = "blues|classical|country|disco|hiphop|jazz|metal|pop|reggae|rock"


def transcripts() -> list[tuple[str, list[str]]]:
    """Each command of the page's console blocks, and the lines that it shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", TUTORIAL.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """A line without what another processor, or other music, may change."""
    line = re.sub(rf"\b({GENRES})\b", "GENRE", line.strip().rstrip(","))
    line = re.sub(r"\([0-9a-f]{7,}\)", "(COMMIT)", line)
    # "noise" or not: beginning and end of the sentence depend on the numbers.
    line = re.sub(r"^.*?: B - A is", "SENTENCE: B - A is", line)
    line = re.sub(r"(often be missed here\.).*", r"\1", line)
    return re.sub(r"\s+", " ", re.sub(r"[+-]?\d+(\.\d+)?(e-\d+)?", "#", line))


def as_gtzan(raw: Path) -> dict[str, bytes]:
    """Composed tracks under the names of GTZAN's clips: up to two of each genre and side of its lists."""
    composed = {folder.name: sorted(folder.glob("*.wav")) for folder in raw.iterdir() if folder.is_dir()}
    names = sorted(gtzan_clips(per_side=2, duration=0.01))
    return {name: composed[name.split("/")[0]].pop().read_bytes() for name in names}


@pytest.fixture
def gtzan(checkout: Project, finished: Project, tmp_path: Path) -> Iterator[None]:
    """GTZAN's address leads to a small archive in its format on a server of this test: composed music."""
    archive = tmp_path / "genres.tar.gz"
    write_gtzan_tar(archive, as_gtzan(finished.path / "data" / "synthetic" / "raw"))
    with Server() as server:
        checkout.environment["GENREPRO_CACHE"] = str(tmp_path / "cache")
        checkout.environment["GENREPRO_REMOTES"] = str(tmp_path / "remotes.json")
        checkout.declare(gtzan_original=(archive, [server.serve("/genres.tar.gz", archive.read_bytes())]))
        yield


@pytest.mark.usefixtures("gtzan")
def test_every_command_runs_and_prints_what_the_page_shows(checkout: Project) -> None:
    shown = transcripts()
    assert len(shown) >= 7
    for command, lines in shown:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=checkout.path,
            env={**checkout.environment, "PYTHONPATH": "src"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        printed = {shape(line) for line in said.splitlines()}
        for line in lines:
            assert shape(line) in printed, f"{command}: {line}\n{said}"


def test_a_line_that_is_not_printed_would_be_found() -> None:
    assert shape("accuracy 0.250 [0.066, 0.609] on 12 tracks") == shape("accuracy 0.5 [0.1, 0.9] on 9 tracks")
    assert shape("accuracy 0.250 on 12 tracks") != shape("precision 0.250 on 12 tracks")
