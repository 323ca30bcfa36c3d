"""Pages and pictures that are drawn say what their source says."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_of_states_is_drawn_from_the_tables() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_states.py"))
    assert drawn["PAGE"].read_text(encoding="utf-8") == drawn["page"]()


def test_the_picture_of_sharing_is_drawn_from_its_trials() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_tree.py"))
    assert drawn["PICTURE"].read_text(encoding="utf-8") == drawn["picture"]()


def test_the_page_of_costs_has_the_figures_of_the_run_that_is_kept() -> None:
    """Its tables are that run's, and each picture carries the digest of what it shows."""
    written = runpy.run_path(str(ROOT / "docs" / "write_performance.py"))
    runs, page, folder = written["kept"](), written["PAGE"], written["FOLDER"]
    text = page.read_text(encoding="utf-8")
    assert runs
    assert text == written["page"](text, runs), "run: python docs/write_performance.py"
    shown = written["plots"].pictures(written["all_subjects"](runs))
    assert {each.name for each in folder.glob("*.svg")} == set(shown), "run: python docs/write_performance.py"
    assert all(digest in (folder / name).read_text(encoding="utf-8") for name, digest in shown.items())
