"""dvc.yaml reads as a document and names the code that each stage runs."""

import ast
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = ["download", "catalog", "render", "audit", "split", "features", "train", "evaluate"]
SOURCE = YAML(typ="safe").load(ROOT / "source" / "dvc.yaml")
SWEEPS = YAML(typ="safe").load(ROOT / "sweeps" / "dvc.yaml")
BODIES = YAML(typ="safe").load(ROOT / "bodies" / "dvc.yaml")
ALL = PIPELINE["stages"] | SWEEPS["stages"] | BODIES["stages"]
PACKAGE = ROOT / "src" / "genrepro"
# From the ground up: a package imports those before it and none after it.
FLOORS = (
    "exact", "base", "download", "datasets", "spectrogram", "catalog", "render", "audit", "split", "models",
    "embed", "features", "train", "evaluate", "sweep", "probe", "figures", "compare", "tracking",
    "experiments", "serve", "suspects", "robustness", "listen", "publish", "cli",
)  # fmt: skip
# What a stage may use without naming it: an edit there changes no output.
CHANGES_NO_OUTPUT = {"base", "tracking", "serve", "figures"}
# A data set's module serves two stages; the one that reads the catalog never downloads. Who decodes a seed
# file composes; but each seed file, in raw/, holds the hash of the composer's code.
READS_ONLY = {"catalog": {"download"}, "render": {"datasets"}, "embed": {"datasets"}}


def imports(path: Path) -> set[str]:
    """First names below genrepro that a file imports; imports for type checking alone do not count."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    skipped = {id(inner) for node in guarded for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module == "genrepro":
            found |= {alias.name for alias in node.names}
        elif node.module.startswith("genrepro."):
            found.add(node.module.split(".")[1])
    return found


def floor_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of_package(name: str) -> set[str]:
    paths = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else (PACKAGE / name).rglob("*.py")
    return set().union(*(imports(path) for path in paths)) - {name}


def closure(start: Path, *, without: set[str]) -> set[str]:
    """Names of the packages that a stage's script can reach."""
    reached: set[str] = set()
    waiting = imports(start)
    while waiting:
        name = waiting.pop()
        if name not in reached | without:
            reached.add(name)
            waiting |= imports_of_package(name)
    return reached


def named(stage: str) -> list[str]:
    """What the stage's entry names below src/genrepro."""
    deps = [dep for dep in ALL[stage]["deps"] if dep.startswith("src/")]
    return [Path(dep).relative_to("src/genrepro").as_posix() for dep in deps]


def test_a_stage_names_every_package_that_its_code_reaches(subtests: pytest.Subtests) -> None:
    for stage in ALL:
        with subtests.test(stage=stage):
            assert f"stages/{stage}.py" in ALL[stage]["deps"]
            start = ROOT / "stages" / f"{stage}.py"
            # A figure may read what the sweep calls its columns; the sweep's code it does not run.
            own = {"figures"} if stage == "sweep_figures" else set()
            without = (CHANGES_NO_OUTPUT - own) | READS_ONLY.get(stage, set())
            reached = closure(start, without=without) | {"exact"}  # which stages/__init__ imports
            if stage == "sweep_figures":
                reached -= {"models", "train", "evaluate"}
            assert reached == {dep.split("/")[0] for dep in named(stage)}


def test_a_stage_names_five_paths_of_code_at_most(subtests: pytest.Subtests) -> None:
    for stage in STAGES:
        with subtests.test(stage=stage):
            assert stage in named(stage)  # its package; its script is not below src
            assert len(named(stage)) <= 4


def test_imports_point_downwards(subtests: pytest.Subtests) -> None:
    for name in FLOORS:
        with subtests.test(package=name):
            assert imports_of_package(name) <= set(FLOORS[: FLOORS.index(name)])


def test_every_package_has_a_floor_and_a_face() -> None:
    found = {floor_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert found == set(FLOORS)
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert docstring, folder


def test_stages_are_eight_in_the_order_of_the_data_each_with_a_description() -> None:
    assert list(PIPELINE["stages"]) == STAGES
    assert all(stage["desc"] for stage in ALL.values())


def test_the_source_is_looked_at_before_every_run_and_only_then() -> None:
    stage = SOURCE["stages"]["source"]
    assert list(SOURCE["stages"]) == ["source"] and stage["wdir"] == ".."
    always = {name for name, stage in {**ALL, **SOURCE["stages"]}.items() if stage.get("always_changed")}
    assert always == {"source"}
    source, start = (path for listed in stage["outs"] for path in listed)
    assert source in PIPELINE["stages"]["download"]["deps"]
    assert start in PIPELINE["stages"]["train"]["deps"]


def test_audio_is_never_pushed() -> None:
    (raw,) = PIPELINE["stages"]["download"]["outs"]
    assert raw["data/${dataset}/raw"] == {"push": False}


def test_metrics_and_plots_stay_in_git() -> None:
    uncached = set()
    for stage in PIPELINE["stages"].values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            if options.get("cache") is False:
                uncached.add(path)
            else:
                assert not path.startswith("metrics/"), path
    drawn = {path for plot in PIPELINE["plots"] for definition in plot.values() for path in definition["y"]}
    assert drawn <= uncached
    assert "data/${dataset}/split.csv" in uncached


def test_a_sweep_runs_at_the_root_and_its_figures_train_nothing() -> None:
    assert list(SWEEPS["stages"]) == ["sweep", "sweep_figures"]
    assert all(stage["wdir"] == ".." for stage in SWEEPS["stages"].values())
    assert set(named("sweep_figures")) == {"figures", "exact", "sweep/grid.py", "sweep/snapshots.py"}
    outs = {out for stage in SWEEPS["stages"].values() for out in map(str, stage["outs"])}
    # Before the first sweep DVC has no hash of what it would cache, and `dvc checkout` fails.
    options = [next(iter(out.values())) for stage in SWEEPS["stages"].values() for out in stage["outs"]]
    assert all(option == {"cache": False} for option in options)
    drawn = {path for plot in SWEEPS["plots"] for definition in plot.values() for path in definition["y"]}
    assert all(any(path.removeprefix("../") in out for out in outs) for path in drawn)


def test_a_body_runs_anew_for_nothing_that_is_chosen_later() -> None:
    embed = BODIES["stages"]["embed"]
    (out,) = embed["outs"]  # without options: DVC's run cache, which spares the body, knows no `persist`
    assert out in PIPELINE["stages"]["features"]["deps"] and out in BODIES["stages"]["probe"]["deps"]
    assert not {"seed", "split", "train", "head", "segments", "pretrained"} & set(embed["params"])
    assert not {f"pretrained.{key}" for key in ("layer", "pooling", "per", "trained_on")} & set(
        embed["params"]
    )
    assert "data/${dataset}/split.csv" not in embed["deps"]
    # What follows needs neither audio nor spectrograms.
    assert not {dep for dep in BODIES["stages"]["probe"]["deps"] if dep.endswith(("/raw", "mel.parquet"))}


def test_a_stage_is_thin(subtests: pytest.Subtests) -> None:
    for stage in ALL:
        with subtests.test(stage=stage):
            assert len((ROOT / "stages" / f"{stage}.py").read_text().splitlines()) <= 75


def test_the_gpu_path_imports_neither_audio_libraries_nor_dvc() -> None:
    code = (
        "import sys, stages.features, stages.train, stages.evaluate, stages.sweep, stages.probe;"
        "import genrepro.train.fit, genrepro.evaluate.scores, genrepro.sweep.stack;"
        "sys.exit(' '.join({'librosa', 'soundfile', 'av', 'dvc', 'soxr'} & set(sys.modules)) or 0)"
    )
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python if python.exists() else "python", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
