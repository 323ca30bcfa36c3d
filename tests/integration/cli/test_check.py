"""``hippo check`` with the real proof, in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.trainer_sources import write_study
from tests.unit.cli.schemas import validate

COMMAND = [sys.executable, "-m", "hippo_client.cli.main", "check"]


def test_a_trainer_whose_state_is_elsewhere_is_told_with_the_cause(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    trainer = tmp_path / "study" / "trainer.py"
    hidden = (
        trainer.read_text()
        .replace("self.total", "TOTAL[0]")
        .replace("class Walk", "TOTAL = [0.0]\n\n\nclass Walk")
    )
    trainer.write_text(hidden)
    done = subprocess.run(
        [*COMMAND, str(study), "--json"], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    validate(["check"], result)
    assert result["passed"] is False
    assert any("TOTAL" in problem["message"] for problem in result["problems"])
    assert all(problem["remedy"] for problem in result["problems"])
    told = [line for line in done.stderr.splitlines() if line.startswith(("ok  ", "FAILED  "))]
    assert told == [
        "ok      training to the end",
        "ok      saving",
        "ok      training again",
        "ok      evaluating",
        "ok      applying twice",
        "FAILED  resuming in a fresh process",
        "FAILED  resuming in a warm process",
    ]


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    done = subprocess.run(
        [*COMMAND, str(study), "--set", "rat=1", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["code"] == "INVALID"
