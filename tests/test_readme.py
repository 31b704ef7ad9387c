"""Claims about the README and the documentation: short, no dead links, commands that exist."""

import re
from pathlib import Path

import typer
from support.builders import ROOT

from genrepro.cli import app

README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(page: Path) -> list[str]:
    """The relative links and pictures of a page, without anchors."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text))
    return [link.partition("#")[0] for link in found if not re.match(r"[a-z]+:|#", link)]


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(README.splitlines()) <= 150
    assert README.count("![") >= 5


def test_no_link_of_any_page_is_dead() -> None:
    dead = [(page.name, link) for page in PAGES for link in links(page) if not (page.parent / link).exists()]
    assert dead == []


def test_every_command_that_the_readme_names_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:^ {4}|bin/|`)genrepro ([a-z]+)", README, re.MULTILINE))
    assert {"predict", "compare", "suspects", "experiment"} <= named <= set(commands)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) - {"and"} <= targets


def test_the_figure_in_the_readme_is_that_of_the_model_that_comes_along() -> None:
    from genrepro.base import files
    from genrepro.serve import default, worth

    said = worth.text(worth.of(default.FOLDER, files.read_json(default.FOLDER / "model.json")))
    assert f"model: {said} (the model that comes with genrepro)" in README
