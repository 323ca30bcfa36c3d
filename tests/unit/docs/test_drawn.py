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
