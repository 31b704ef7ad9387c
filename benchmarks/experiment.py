"""What an experiment costs beyond its fit: `dvc exp run -S train.lr=... -S train.epochs=1` over its floor.

    make repro && python benchmarks/experiment.py

The floor is what no pipeline with two stages in torch can do without: `python -c "import torch"` twice, and
`dvc exp run` of a project with two stages that do nothing. Ours runs in a clone of this checkout's last
commit, with this checkout's cache; the seconds of the fit, as MLflow has them, are taken off. Whole
processes, wall time, medians; the ratio is of paired rounds. Processor time is that of all processes that DVC
waits for: it includes the fit, and leaves out the process that records in MLflow. Then what `genrepro`'s
quick commands take, and whether they import torch.

    python benchmarks/experiment.py --before COMMIT     the same of another commit, in turns with this one

A commit from before `ruamel.yaml.clib` is in its pyproject.toml runs without it.
"""

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from noop import machine

DVC = [sys.executable, "-m", "dvc"]
GENREPRO = [sys.executable, "-m", "genrepro"]
DUMMY = """stages:
  one: {cmd: echo 1 > a, params: [lr], outs: [a]}
  two: {cmd: echo 2 > b, deps: [a], params: [lr], outs: [b]}
"""
# Of genrepro: what people wait for most often, and whether torch has any business there.
COMMANDS = {"predict": True, "compare": False, "experiment list": False}


def main() -> None:
    parser = argparse.ArgumentParser(description="What an experiment costs beyond its fit, over its floor.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", metavar="COMMIT", help="measure this commit too, in turns")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    # Stages run `python`: the environment's own must be the one that is found.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        sides = {"": clone(Path(folder, "genrepro"))}
        if arguments.before:
            sides["before_"] = clone(Path(folder, "before"), commit=arguments.before)
        dummy = two_stages(Path(folder, "dummy"))
        taken: dict[str, list[float]] = {}
        for number in range(-1, rounds):  # the first fills the page cache and runs what is not up to date
            floor = spent([*DVC, "exp", "run", "-S", f"lr={number}"], dummy)
            torch = spent([sys.executable, "-c", "import torch"], dummy)
            row = {
                "floor_s": floor.wall + 2 * torch.wall,
                "floor_cpu_s": floor.processor + 2 * torch.processor,
            }
            for side, project in sides.items():
                whole, fitted = experiment(project, lr=0.001 + number * 1e-5)
                overhead = whole.wall - fitted
                row |= {
                    f"{side}experiment_over_floor": overhead / row["floor_s"],
                    f"{side}with_fit_over_floor": whole.wall / row["floor_s"],
                    f"{side}overhead_s": overhead,
                    f"{side}fit_s": fitted,
                    f"{side}cpu_s": whole.processor,
                }
            if number >= 0:
                print({key: round(value, 2) for key, value in row.items()}, file=sys.stderr, flush=True)
                for key, value in row.items():
                    taken.setdefault(key, []).append(value)
        figures = {key: statistics.median(values) for key, values in taken.items()}
        for side, project in sides.items():
            for name in COMMANDS:
                figures[f"{side}{name.replace(' ', '_')}_s"] = command(name, project, rounds=rounds)
    figures["rounds"] = rounds
    for label, value in figures.items():
        print(f"{label:<32}{value:>8.2f}")
    print(json.dumps({**{key: round(value, 3) for key, value in figures.items()}, "machine": machine()}))


def clone(folder: Path, *, commit: str = "HEAD") -> Path:
    """A commit of this checkout at ``folder``, with its data from this checkout's cache."""
    here = subprocess.run([*DVC, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    quiet: dict = {"check": True, "capture_output": True}
    subprocess.run(["git", "clone", "--quiet", ".", folder], **quiet)
    name = subprocess.run(["git", "rev-parse", commit], **quiet, text=True).stdout.strip()
    subprocess.run(["git", "checkout", "--quiet", "-B", "measured", name], cwd=folder, **quiet)
    if "ruamel.yaml.clib" not in (folder / "pyproject.toml").read_text():
        (folder / "src" / "_ruamel_yaml.py").write_text("raise ImportError\n")
        with (folder / ".git" / "info" / "exclude").open("a") as excluded:
            excluded.write("_ruamel_yaml.py\n")
    subprocess.run([*DVC, "config", "--local", "cache.dir", Path(here).resolve()], cwd=folder, **quiet)
    subprocess.run([*DVC, "checkout", "--allow-missing"], cwd=folder, capture_output=True)
    return folder


def two_stages(folder: Path) -> Path:
    """A DVC project with two stages that have run and are committed."""
    folder.mkdir()
    (folder / "dvc.yaml").write_text(DUMMY)
    (folder / "params.yaml").write_text("lr: -2\n")
    identity = ["-c", "user.name=genrepro", "-c", "user.email=genrepro@example.org"]
    for command in (
        ["git", "init", "--quiet"],
        [*DVC, "init", "--quiet"],
        [*DVC, "repro"],
        ["git", "add", "--all"],
        ["git", *identity, "commit", "--quiet", "--message", "two stages"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def experiment(project: Path, *, lr: float) -> "tuple[Spent, float]":
    """What an experiment takes, and the seconds of its fit."""
    begin = time.time()
    took = spent([*DVC, "exp", "run", "-S", f"train.lr={lr:.6f}", "-S", "train.epochs=1"], project)
    with sqlite3.connect(project / "mlflow.db") as store:
        query = "SELECT value FROM metrics WHERE key = 'fit_seconds' AND timestamp >= ?"
        ((fitted,),) = store.execute(query, [begin * 1000]).fetchall()
    return took, fitted


def command(name: str, project: Path, *, rounds: int) -> float:
    """Seconds of a command of `genrepro`; ends the benchmark if it imports torch for nothing."""
    track = next(project.glob("data/synthetic/raw/**/*.wav"), None)
    arguments = {"predict": [str(track)], "compare": ["HEAD", "workspace"], "experiment list": []}[name]
    line = [*GENREPRO, *name.split(), *arguments]
    spent(line, project)
    if not COMMANDS[name]:
        traced = subprocess.run(
            [sys.executable, "-X", "importtime", *line[1:]], cwd=project, capture_output=True, text=True
        )
        if any(row.split("|")[-1].strip() == "torch" for row in traced.stderr.splitlines()):
            sys.exit(f"genrepro {name} imports torch, which it has no need of.")
    return statistics.median(spent(line, project).wall for _ in range(rounds))


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds of a process and all its children that were waited for."""

    wall: float
    processor: float


def spent(command: list[str], folder: Path) -> Spent:
    """Run a whole process, which must succeed."""
    # A clone's own code, and nothing of the session that measures.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    environment["PYTHONPATH"] = str(folder / "src")
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    elapsed, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall=elapsed, processor=processor)


if __name__ == "__main__":
    main()
