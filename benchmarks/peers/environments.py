"""Environments of the peers' own, made once: in each what its file in ``requirements/`` says, and no Hippo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".tools" / "peers"
_failures: dict[str, str] = {}


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, which is made where there is none, or another was asked for then.

    Raises:
        RuntimeError: It cannot be made, as without a network; that is tried once.
    """
    wanted = HERE / "requirements" / f"{name}.txt"
    folder = FOLDER / name
    stamp, python = folder / "installed.txt", folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return python
    if name not in _failures:
        print(f"  making the environment of {name} in {folder}", flush=True)
        try:
            _make(folder, python, wanted)
        except (subprocess.CalledProcessError, OSError) as error:
            _failures[name] = f"the environment of {name} cannot be made: {error}"
        else:
            stamp.write_text(wanted.read_text())
            return python
    raise RuntimeError(_failures[name])


def prepare(names: Iterable[str]) -> None:
    """Makes the environments that are not there; where one cannot be made, ``python_of`` says so."""
    for name in names:
        with suppress(RuntimeError):
            python_of(name)


def _make(folder: Path, python: Path, wanted: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The constraints keep torch at the build that Hippo has.
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "-r", str(wanted)], check=True)
