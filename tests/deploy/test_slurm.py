"""The batch script for Slurm: what the worker is told. tests/acceptance/test_slurm.py runs it by the real one."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "hippo-workers.sbatch"
DIRECTIVES = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", SCRIPT.read_text(), re.MULTILINE))
JOB = {
    "SLURM_ARRAY_JOB_ID": "41",
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_CLUSTER_NAME": "big",
    "SLURM_CPUS_PER_TASK": "4",
    "SLURM_JOB_ID": "48",
    "SLURM_JOB_PARTITION": "gpu",
}
GIVEN = {"HIPPO_SERVER": "head:7440", "HIPPO_CA": "/ca.pem", "HIPPO_TOKEN_FILE": "/worker.token"}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script as Slurm does, with a worker that says its process, its words and its variables."""
    fake = tmp_path / "bin" / "hippo-worker"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$$ $#"\nenv | grep -E "^HIPPO_"\n')
    fake.chmod(0o755)

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", 'echo $$; exec bash "$0"', SCRIPT],
            env={"PATH": f"{fake.parent}:{os.environ['PATH']}", "TMPDIR": "/scratch", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_worker_takes_the_place_of_the_shell_that_is_told(run: Run) -> None:
    """It is the process that Slurm has started, and is told nothing by arguments."""
    done = run(**JOB, **GIVEN)
    shell, worker, *_ = done.stdout.splitlines()
    assert worker == f"{shell} 0"


def test_the_worker_is_told_what_follows_from_its_job(run: Run) -> None:
    said = dict(line.split("=", 1) for line in run(**JOB, **GIVEN).stdout.splitlines()[2:])
    assert said == {
        **GIVEN,
        "HIPPO_WORKER_NAME": "big-41-7",
        "HIPPO_DATA_DIR": "/scratch/big-41-7",
        "HIPPO_LABELS": "job=48,partition=gpu",
        "HIPPO_DRAIN_SECONDS": "120",
        "HIPPO_EXIT_WHEN_IDLE": "10m",
        "HIPPO_SLOTS": "4",
    }


def test_what_is_said_in_the_environment_goes_before(run: Run) -> None:
    own = {"HIPPO_DRAIN_SECONDS": "60", "HIPPO_EXIT_WHEN_IDLE": "1h", "HIPPO_LABELS": "owner=ada"}
    done = run(**JOB, **GIVEN, **own, HIPPO_DATA_DIR="/local", CUDA_VISIBLE_DEVICES="0,1")
    said = dict(line.split("=", 1) for line in done.stdout.splitlines()[2:])
    assert said["HIPPO_DATA_DIR"] == "/local/big-41-7"  # a folder has one worker
    assert said["HIPPO_LABELS"] == "owner=ada,job=48,partition=gpu"
    assert (said["HIPPO_DRAIN_SECONDS"], said["HIPPO_EXIT_WHEN_IDLE"]) == ("60", "1h")
    assert "HIPPO_SLOTS" not in said  # one for each GPU


@pytest.mark.parametrize("missing", GIVEN)
def test_what_is_missing_is_told(run: Run, missing: str) -> None:
    done = run(**JOB, **{name: value for name, value in GIVEN.items() if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr


def test_slurm_is_told_to_give_time_and_to_queue_again() -> None:
    assert {"requeue", "array", "time", "open-mode", "signal"} <= DIRECTIVES.keys()
    assert DIRECTIVES["open-mode"] == "append"
    told = re.fullmatch(r"B:TERM@(\d+)", DIRECTIVES["signal"])
    assert told is not None
    assert int(told[1]) >= int(re.search(r"HIPPO_DRAIN_SECONDS:-(\d+)", SCRIPT.read_text())[1]) + 30  # type: ignore[index]
