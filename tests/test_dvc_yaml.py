"""dvc.yaml reads as a document and names the code that each stage runs."""

import ast
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = ["download", "catalog", "render", "audit", "split", "features", "train", "evaluate"]
SWEEPS = YAML(typ="safe").load(ROOT / "sweeps" / "dvc.yaml")
ALL = PIPELINE["stages"] | SWEEPS["stages"]
# Packages of which a stage uses the one module that a parameter names, as `${dataset}.py` or `${model}.py`.
CHOSEN_BY_NAME = {"datasets", "models"}
# Modules whose edit cannot change what a stage computes: reading parameters, moving files, reporting.
INFRASTRUCTURE = {
    "__init__",
    "architectures",
    "devices",
    "disk",
    "engines",
    "errors",
    "fetch",
    "files",
    "params",
    "partials",
    "registry",
    "resume",
    "schema",
    "sections",
    "sources",
    "tracking",
    "transfer",
}


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


def closure(start: Path) -> set[str]:
    """Names of genrepro's modules and packages that a stage can reach."""
    reached: set[str] = set()
    waiting = [start, ROOT / "stages" / "__init__.py"]
    while waiting:
        for name in imports(waiting.pop()):
            if name in reached or name in INFRASTRUCTURE:
                continue
            reached.add(name)
            if name in CHOSEN_BY_NAME:
                continue
            module = ROOT / "src" / "genrepro" / name
            waiting += (
                [module.with_suffix(".py")] if module.with_suffix(".py").exists() else module.rglob("*.py")
            )
    return reached


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_depends_on_the_code_it_runs(stage: str) -> None:
    named = {
        Path(dep).relative_to("src/genrepro").parts[0].removesuffix(".py")
        for dep in ALL[stage]["deps"]
        if dep.startswith("src/genrepro/")
    }
    assert f"stages/{stage}.py" in ALL[stage]["deps"]
    reachable = closure(ROOT / "stages" / f"{stage}.py")
    if stage == "download":  # the code that the data sets' modules bring along
        for module in (ROOT / "src" / "genrepro" / "datasets").glob("*.py"):
            reachable |= closure(module)
    if stage in ("features", "train", "sweep"):  # the code that the models' modules bring along
        for module in (ROOT / "src" / "genrepro" / "models").glob("*.py"):
            reachable |= closure(module)
    assert named <= reachable, f"named but never imported: {named - reachable}"
    assert reachable <= named, f"imported but not named: {reachable - named}"


def test_stages_are_eight_in_the_order_of_the_data_each_with_a_description() -> None:
    assert list(PIPELINE["stages"]) == STAGES
    assert all(stage["desc"] for stage in ALL.values())


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
    assert not any(
        "training" in dep or "features" in dep for dep in SWEEPS["stages"]["sweep_figures"]["deps"]
    )
    outs = {out for stage in SWEEPS["stages"].values() for out in map(str, stage["outs"])}
    drawn = {path for plot in SWEEPS["plots"] for definition in plot.values() for path in definition["y"]}
    assert all(any(path.removeprefix("../") in out for out in outs) for path in drawn)


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_is_thin(stage: str) -> None:
    assert len((ROOT / "stages" / f"{stage}.py").read_text().splitlines()) <= 70


def test_the_gpu_path_imports_neither_audio_libraries_nor_dvc() -> None:
    code = (
        "import sys, stages.features, stages.train, stages.evaluate, stages.sweep;"
        "import genrepro.training, genrepro.evaluation, genrepro.heads;"
        "sys.exit(' '.join({'librosa', 'soundfile', 'dvc', 'soxr'} & set(sys.modules)) or 0)"
    )
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python if python.exists() else "python", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
