"""The code in the pages runs: studies are made, trainers and policies defined, files parsed.

What asks a server is run by ``tests/acceptance/test_documentation.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import hippo_client as hippo
from hippo_client import endings, plots, policies, samplers, schedules, simulation, space
from hippo_client.cli.main import call
from hippo_client.study_file import load
from hippo_core.static_plan import plan_studies
from tests.code_blocks import PAGES, ROOT, STUDY, Block, asks_a_server, blocks, execute

#: What the pages take for given.
PRELUDE: dict[str, Any] = {
    "hippo": hippo, "endings": endings, "plots": plots, "policies": policies, "samplers": samplers,
    "schedules": schedules, "simulation": simulation, "space": space,
}  # fmt: skip
PYTHON = blocks("python")


def by_page(found: list[Block]) -> list[tuple[Path, list[Block]]]:
    pages = dict.fromkeys(block.page for block in found)
    return [(page, [block for block in found if block.page == page]) for page in pages]


@pytest.mark.parametrize(("page", "parts"), by_page(PYTHON), ids=lambda each: getattr(each, "name", ""))
def test_the_python_of_a_page_runs(
    page: Path, parts: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block after the other, as one who reads would type them. What is not run is compiled all the same."""
    monkeypatch.chdir(tmp_path)
    names = {**PRELUDE, "__name__": "study", "__file__": str(tmp_path / "study.py")}
    execute(
        Block(
            page, 0, "python", f"study = hippo.Study({', '.join(f'{k}={v}' for k, v in STUDY.items())})", ""
        ),
        names,
    )
    for block in parts:
        compile(block.text, block.place, "exec")
        if not block.reason and not asks_a_server(block):
            execute(block, names)


@pytest.mark.parametrize("block", blocks("yaml", "json"), ids=lambda block: block.place)
def test_files_parse(block: Block) -> None:
    assert (yaml.safe_load(block.text) if block.language == "yaml" else json.loads(block.text)) is not None


def test_every_block_says_what_it_is() -> None:
    """A fence without a language is neither run nor told to be mere text."""
    for page in PAGES:
        fences = re.findall(r"^ *```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(fences[::2]), page.relative_to(ROOT)


def test_a_plan_that_a_page_shows_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [block for block in blocks("console") if "$ hippo plan " in block.text]
    assert shown
    for block in shown:
        for typed, told in re.findall(r"^\$ hippo (plan .*)\n((?:(?!\$ ).*\n)+)", block.text, re.MULTILINE):
            assert call([*typed.split()[:1], *(str(ROOT / file) for file in typed.split()[1:])]) == 0
            printed = [line.split() for line in capsys.readouterr().out.splitlines()]
            assert all(line.split() in printed for line in told.splitlines()), block.place


@pytest.mark.parametrize("example", ["plain_loop", "dataloader", "two_objectives", "language_model"])
def test_the_table_of_examples_has_what_is_planned(example: str) -> None:
    """Where it does not depend on results; what others come to is in ``tests/acceptance/test_documentation.py``."""
    (row,) = re.findall(
        rf"^\| \[{example}/study\.py\].*$", (ROOT / "docs/examples/index.md").read_text(), re.M
    )
    counts = plan_studies([load(ROOT / "examples" / example / "study.py").spec()]).studies[0].counts
    assert [cell.strip() for cell in row.split("|")[3:5]] == [
        str(counts.steps_without_sharing), str(counts.steps_with_sharing),
    ]  # fmt: skip


def test_the_readme_says_what_the_demo_is_planned_to_take() -> None:
    counts = plan_studies([load(ROOT / "examples/digits/study.py").spec()]).studies[0].counts
    said = f"{counts.steps_without_sharing:,} epochs alone and {counts.steps_with_sharing:,} shared"
    assert said in " ".join((ROOT / "README.md").read_text().split())
