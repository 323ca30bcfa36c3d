"""The site is built without a warning, and its pages ask nobody else for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


class Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADED:
            self.found.append(dict(attrs).get(LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does: a page outside the navigation, a dead link or a dead anchor is an error."""
    pytest.importorskip("material", reason="the site is built with the extra docs")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 50
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert not [each for each in loads.found if re.match(r"(https?:)?//", each)], page
        assert "mermaid" not in page.read_text(encoding="utf-8"), (
            "the theme would load its script from elsewhere"
        )


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_public_names_are_in_the_reference(site: Path) -> None:
    import hippo_client
    from hippo_client import endings, plots, policies, samplers, schedules, simulation, space

    text = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for module in (endings, plots, policies, samplers, schedules, simulation, space):
        for name in module.__all__:
            assert f'id="{name}"' in text, f"{module.__name__}.{name}"
    named = {*hippo_client.__all__} - {"endings", "errors", "plots", "policies", "samplers", "schedules"}
    for name in named - {"simulation", "space"}:
        assert f'id="{name}"' in text, name
