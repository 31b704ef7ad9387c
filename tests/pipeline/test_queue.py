"""Queued experiments: two at once, in temporary clones, each with its own code, in one MLflow store."""

import json
from collections.abc import Callable

import pytest
from support.project import Project

pytestmark = pytest.mark.pipeline
PLANTED = 0.123456


def test_two_queued_experiments_run_their_own_clones_code_into_one_store(
    reproduced: Project, wait_for_queue: Callable[[Project], None]
) -> None:
    """Another genrepro is installed in the environment; one of the two has a planted difference."""
    module = reproduced.path / "src" / "genrepro" / "evaluate" / "scores.py"
    honest = module.read_text()
    line = '"segment_accuracy": rounded(segment_accuracy),'
    assert line in honest
    module.write_text(honest.replace(line, f'"segment_accuracy": {PLANTED},'))
    reproduced.run("dvc", "exp", "run", "--queue", "--name", "planted", "--set-param", "train.lr=0.004")
    module.write_text(honest)
    reproduced.run("dvc", "exp", "run", "--queue", "--name", "plain", "--set-param", "train.lr=0.005")
    (reproduced.path / "mlflow.db").unlink(missing_ok=True)
    reproduced.run("dvc", "queue", "start", "--jobs", "2")
    wait_for_queue(reproduced)

    status = reproduced.run("dvc", "queue", "status").stdout
    assert status.count("Success") == 2, (
        status + reproduced.run("dvc", "queue", "logs", "plain", check=False).stdout
    )
    references = reproduced.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    shares = {}
    for name in ("planted", "plain"):
        (reference,) = (found for found in references if found.endswith(f"/{name}"))
        test = reproduced.run("git", "show", f"{reference}:metrics/test.json").stdout
        shares[name] = json.loads(test)["segment_accuracy"]
    assert shares["planted"] == PLANTED
    assert shares["plain"] != PLANTED

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{reproduced.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genrepro")
    assert experiment is not None
    runs = {run.data.tags["dvc_experiment"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"planted", "plain"}
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        assert run.data.metrics["test.segment_accuracy"] == pytest.approx(shares[name])
        assert len(client.get_metric_history(run.info.run_id, "validation_loss")) == 2
        assert {"features_sha256", "split_sha256", "model_sha256"} <= set(run.data.tags)
        found = {entry.path for entry in client.list_artifacts(run.info.run_id, "figures")}
        assert found == {"figures/learning_curves.png", "figures/confusion_matrix.png"}
