"""Environments of the peers' own, made once: in each what its file in ``requirements/`` says, and no Hippo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".tools" / "peers"


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, which is made where there is none, or another was asked for then."""
    wanted = HERE / "requirements" / f"{name}.txt"
    folder = FOLDER / name
    stamp, python = folder / "installed.txt", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return python
    print(f"  making the environment of {name} in {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The constraints keep torch at the build that Hippo has.
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "-r", str(wanted)], check=True)
    stamp.write_text(wanted.read_text())
    return python
