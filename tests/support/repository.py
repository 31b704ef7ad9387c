"""A git repository in a test's folder, with results and experiments as DVC would leave them."""

import subprocess
from pathlib import Path


class Repository:
    """A git repository in the working directory, with an own author."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        author = ["-c", "user.name=A. Tester", "-c", "user.email=tester@example.org"]
        return subprocess.run(
            ["git", *author, *arguments], cwd=self.path, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, predictions: bytes | None = None) -> str:
        if predictions is not None:
            self.write(predictions)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def write(self, predictions: bytes) -> None:
        (self.path / "metrics").mkdir(exist_ok=True)
        (self.path / "metrics" / "predictions.csv").write_bytes(predictions)

    def experiment(self, name: str, *, baseline: str, commit: str) -> None:
        """As DVC keeps one: a reference below the hash of the commit it began at."""
        self.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", commit)
