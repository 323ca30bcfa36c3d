"""What the pages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from hippo_client.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?:`|^|\$ )hippo ([a-z]+)(?: ([a-z]+))?(?=[ `\n])", re.MULTILINE)


def test_there_are_pages_with_commands() -> None:
    assert sum(len(COMMAND.findall(page.read_text())) for page in PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    context = click.Context(app)
    for noun, verb in COMMAND.findall(page.read_text()):
        found = app.get_command(context, noun)
        assert found is not None, noun
        if isinstance(found, click.Group) and verb:
            assert found.get_command(click.Context(found), verb) is not None, f"{noun} {verb}"


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """Those of the other pages are followed when the site is built."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target
