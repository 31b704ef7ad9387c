"""Claims about DVC's page of plots: it holds all that it needs, so it opens without a network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.config import Config
from dvc_render import VegaRenderer, render_html
from support.builders import ROOT

TEMPLATE = ROOT / ".dvc" / "plots" / "page.html"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of one curve, as DVC makes it."""
    points = [{"epoch": str(epoch), "loss": str(1 / epoch), "rev": "workspace"} for epoch in range(1, 9)]
    curve = VegaRenderer(points, "curve", template="linear", x="epoch", y="loss", title="Loss")
    return Path(render_html([curve], tmp_path / "plots" / "index.html", TEMPLATE))


def test_dvc_takes_this_page() -> None:
    config = Config(str(ROOT / ".dvc"), validate=True)
    assert (ROOT / ".dvc" / config["plots"]["html_template"]).samefile(TEMPLATE)


def test_nothing_is_loaded_from_elsewhere(page: Path) -> None:
    said = page.read_text(encoding="utf-8")
    tags = re.findall(
        r"<(?:script|link|img|iframe)\b[^>]*>", re.sub(r"(?s)(<script[^>]*>).*?</script>", r"\1", said)
    )
    assert len(tags) >= 4 and not [tag for tag in tags if "src=" in tag or "href=" in tag]


def test_vega_is_of_the_releases_that_dvcs_templates_are_written_for(page: Path) -> None:
    held = dict(re.findall(r"<!-- (vega[a-z-]*)@(\d+)\.", page.read_text(encoding="utf-8")))
    wanted = dict(re.findall(r"/npm/(vega[a-z-]*)@(\d+)\.", VegaRenderer.SCRIPTS))
    assert held == wanted and len(wanted) == 3


def test_every_package_comes_with_its_licence() -> None:
    packages = re.findall(r"<!-- (vega[^,]*), BSD-3-Clause", TEMPLATE.read_text(encoding="utf-8"))
    licences = TEMPLATE.with_suffix(".LICENSE").read_text(encoding="utf-8")
    assert len(packages) == 3 and all(f"{package}\n" in licences for package in packages)
    assert licences.count("THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS") == 3


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_without_a_network_draws_the_curve(page: Path) -> None:
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=8000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "<canvas" in done.stdout or "<svg" in done.stdout.split("<body>")[-1]
