"""What an experiment costs beyond its fit: `dvc exp run -S train.lr=... -S train.epochs=1` over its floor.

    make repro && python benchmarks/experiment.py

The floor is what no pipeline with two stages in torch can do without: `python -c "import torch"` twice, and
`dvc exp run` of a project with two stages that do nothing. Ours runs in a clone of this checkout's last
commit, with this checkout's cache; the seconds of the fit, as MLflow has them, are taken off. Whole
processes, wall time, medians; the ratio is of paired rounds. Then what `genrepro`'s quick commands take, and
whether they import torch.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
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
    rounds = parser.parse_args().rounds
    # Stages run `python`: the environment's own must be the one that is found.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        ours, dummy = clone(Path(folder, "genrepro")), two_stages(Path(folder, "dummy"))
        pairs = []
        for number in range(-1, rounds):  # the first fills the page cache and runs what is not up to date
            overhead, fitted = experiment(ours, lr=0.001 + number * 1e-5)
            lr = ["-S", f"lr={number}"]
            floor = seconds([*DVC, "exp", "run", *lr], dummy) + 2 * seconds(
                [sys.executable, "-c", "import torch"], dummy
            )
            if number >= 0:
                pairs.append((overhead, floor, fitted))
        commands = {name: command(name, ours, rounds=rounds) for name in COMMANDS}
    overhead, floor, fitted = (statistics.median(values) for values in zip(*pairs, strict=True))
    figures = {
        "experiment_over_floor": statistics.median(one / other for one, other, _ in pairs),
        "with_fit_over_floor": statistics.median((one + fit) / other for one, other, fit in pairs),
        "overhead_s": overhead,
        "fit_s": fitted,
        "floor_s": floor,
        **{f"{name.replace(' ', '_')}_s": value for name, value in commands.items()},
        "rounds": rounds,
    }
    for label, value in figures.items():
        print(f"{label:<28}{value:>8.2f}")
    print(json.dumps({**{key: round(value, 3) for key, value in figures.items()}, "machine": machine()}))


def clone(folder: Path) -> Path:
    """This checkout's last commit at ``folder``, with its data from this checkout's cache."""
    here = subprocess.run([*DVC, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    quiet: dict = {"check": True, "capture_output": True}
    subprocess.run(["git", "clone", "--quiet", ".", folder], **quiet)
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


def experiment(project: Path, *, lr: float) -> tuple[float, float]:
    """Seconds of an experiment without its fit, and of the fit."""
    begin = time.time()
    took = seconds([*DVC, "exp", "run", "-S", f"train.lr={lr:.6f}", "-S", "train.epochs=1"], project)
    with sqlite3.connect(project / "mlflow.db") as store:
        query = "SELECT value FROM metrics WHERE key = 'fit_seconds' AND timestamp >= ?"
        ((fitted,),) = store.execute(query, [begin * 1000]).fetchall()
    return took - fitted, fitted


def command(name: str, project: Path, *, rounds: int) -> float:
    """Seconds of a command of `genrepro`; ends the benchmark if it imports torch for nothing."""
    track = next(project.glob("data/synthetic/raw/**/*.wav"), None)
    arguments = {"predict": [str(track)], "compare": ["HEAD", "workspace"], "experiment list": []}[name]
    line = [*GENREPRO, *name.split(), *arguments]
    seconds(line, project)
    if not COMMANDS[name]:
        traced = subprocess.run(
            [sys.executable, "-X", "importtime", *line[1:]], cwd=project, capture_output=True, text=True
        )
        if any(row.split("|")[-1].strip() == "torch" for row in traced.stderr.splitlines()):
            sys.exit(f"genrepro {name} imports torch, which it has no need of.")
    return statistics.median(seconds(line, project) for _ in range(rounds))


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a whole process, which must succeed."""
    # A clone's own code, and nothing of the session that measures.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    environment["PYTHONPATH"] = str(folder / "src")
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    elapsed = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return elapsed


if __name__ == "__main__":
    main()
