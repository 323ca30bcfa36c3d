"""Pages that are generated say what their source says; the wire code is that of the contract."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_states_is_drawn_from_the_tables() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_states.py"))
    assert drawn["PAGE"].read_text(encoding="utf-8") == drawn["page"]()


def test_the_generated_wire_code_is_current(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(ROOT / "proto" / "generate.py"), str(tmp_path)], check=True, timeout=120
    )
    made = {path.name: path.read_text() for path in (tmp_path / "hippo_wire" / "v1").iterdir()}
    kept = {
        path.name: path.read_text()
        for path in (ROOT / "hippo_wire" / "v1").iterdir()
        if path.suffix in {".py", ".pyi"} and path.name != "__init__.py"
    }
    assert kept == made
