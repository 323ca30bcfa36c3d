"""The generated modules are those of the contract as it is now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_generated_code_is_current(tmp_path):
    """``python proto/generate.py`` would change nothing."""
    line = [sys.executable, str(ROOT / "proto" / "generate.py"), str(tmp_path)]
    subprocess.run(line, check=True, capture_output=True, timeout=250)
    committed = ROOT / "hippo_wire" / "v1"
    fresh = {path.name: path.read_text() for path in (tmp_path / "hippo_wire" / "v1").iterdir()}
    assert fresh == {name: (committed / name).read_text() for name in fresh}
    kept = {path.name for path in committed.iterdir() if path.suffix in {".py", ".pyi"}}
    assert kept - fresh.keys() <= {"__init__.py"}
