"""Pages that are generated say what their source says."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_states_is_drawn_from_the_tables() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_states.py"))
    assert drawn["PAGE"].read_text(encoding="utf-8") == drawn["page"]()
