"""scikit-optimize drives the digits study, as the page tells people to do it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_client import Client
from hippo_client.errors import HippoError
from tests.acceptance.conftest import COMMAND, environment
from tests.waiting import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


@pytest.mark.soak
def test_an_optimiser_in_one_process_drives_what_another_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The study waits for points. 2. The optimiser is killed after a trial, and started again. 3. All trials are its
    points, trained to the end, and their common beginnings were trained once.
    """
    pytest.importorskip("skopt")
    folder = shutil.copytree(EXAMPLE, tmp_path / "digits")
    file = folder / "outside.py"
    file.write_text(file.read_text().replace("max_trials=10", "max_trials=6"))
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path / "home"))
    for name in ("HIPPO_SERVER", "HIPPO_TOKEN", "HIPPO_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    settings = environment(HIPPO_HOME=str(tmp_path / "home"))
    run = subprocess.Popen(
        [*COMMAND, "run", str(file), "--slots", "1", "--json"],
        env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: run.poll() is not None or _trials() == 0, "the study")
        first = subprocess.Popen([sys.executable, str(file)], env=settings)
        until(lambda: first.poll() is not None or _trials() > 1, "a second trial")
        first.kill()
        first.wait()
        again = subprocess.run(
            [sys.executable, str(file)], env=settings, capture_output=True, text=True, timeout=240
        )
        assert again.returncode == 0, again.stderr
        assert "<Trial " in again.stdout
        out, err = run.communicate(timeout=240)
    finally:
        run.kill()
    assert run.returncode == 0, err
    told = json.loads(out)
    assert (told["state"], told["trials"]["completed"]) == ("completed", 6)
    assert told["savings"]["steps_trained"] < told["savings"]["steps_without_sharing"] == 36


def _trials() -> int | None:
    """How many trials the study has; None: it is not there yet."""
    try:
        with Client() as client:
            return len(client.study("digits-outside").trials())
    except HippoError:
        return None
