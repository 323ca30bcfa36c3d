"""The workload of the comparison with peers, and how its epochs are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import control, environments, notes, workload


def prefixes(points: list[workload.Point]) -> set[tuple[workload.Values, ...]]:
    histories = [tuple(point.values(epoch) for epoch in range(workload.EPOCHS)) for point in points]
    return {history[: epoch + 1] for history in histories for epoch in range(workload.EPOCHS)}


def test_two_thirds_of_the_epochs_differ_in_what_came_before():
    points = workload.points()
    assert (len(points), len(set(points))) == (64, 64)
    assert len(points) * workload.EPOCHS == 1_728
    assert len(prefixes(points)) == 1_152


def test_epochs_are_counted_over_processes_and_distinct_by_their_histories(tmp_path: Path):
    (tmp_path / "1.jsonl").write_text(json.dumps(["a", 1, 10.0, 10.25, 0.2]) + "\n")
    (tmp_path / "2.jsonl").write_text(
        json.dumps(["a", 1, 9.5, 9.75, 0.2]) + "\n" + json.dumps(["b", 2, 10.0, 10.5, 0.25]) + "\n"
    )
    found = notes.read(tmp_path)
    assert (found.count, found.distinct, found.processes) == (3, 2, 2)
    assert (found.first, found.last, found.seconds) == (9.5, 10.5, 1.0)
    assert found.processor_seconds == pytest.approx(0.65)
    assert found.idle_seconds(slots=2) == 1.0


def test_a_run_in_which_nothing_was_trained_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="no epoch"):
        notes.read(tmp_path)


def test_a_peer_whose_environment_cannot_be_made_costs_no_other_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    tried = []

    def fail(command: list[str], **_: object) -> None:
        tried.append(command)
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(environments, "_failures", {})
    monkeypatch.setattr(environments.subprocess, "run", fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the environment of ray cannot be made"):
            environments.python_of("ray")
    assert len(tried) == 1, "it is not tried in each round"

    def completed(*arguments: str) -> list[float]:
        return [0.0, 0.5, 1.0]

    monkeypatch.setattr(control, "_optuna", completed)
    failures: list[str] = []
    (figure,) = control._rates(failures)
    assert (figure.name, figure.values) == ("no-op trials, 2 slots, Optuna", (2.0, 2.0, 2.0))
    assert len(failures) == 3
    assert "Ray Tune's rate" in failures[0]


def test_a_system_that_there_is_not_is_told_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PEERS_SYSTEMS", "Hippo,Foo")
    with pytest.raises(SystemExit, match=r"no system 'Foo'; there are bare loop, Hippo, .*Syne Tune$"):
        peers.prepare()


def test_the_environments_of_the_systems_that_are_measured_are_made_beforehand(
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[str] = []
    monkeypatch.setattr(environments, "python_of", made.append)
    monkeypatch.setenv("PEERS_SYSTEMS", "Hippo,Syne Tune,Optuna")
    peers.prepare()
    control.prepare()
    assert made == ["optuna", "syne-tune", "optuna", "ray"]


def test_a_run_is_watched_until_the_last_of_its_processes_has_ended(tmp_path: Path):
    """Also one that nobody waits for, of another session; what it has used counts."""
    done = tmp_path / "done"
    orphan = f"import time\nwhile time.process_time() < 0.2: pass\nopen({str(done)!r}, 'w')"
    starts = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {orphan!r}], start_new_session=True)\n"
        "sys.exit(3)"
    )
    plan, result = tmp_path / "plan.json", tmp_path / "result.json"
    said = {
        "command": [sys.executable, "-c", starts],
        "afterwards": [],
        "environment": {},
        "log": str(tmp_path / "log"),
        "result": str(result),
    }
    plan.write_text(json.dumps(said))
    subprocess.run([sys.executable, str(environments.HERE / "observe.py"), str(plan)], check=True)
    assert done.exists()
    found = json.loads(result.read_text())
    assert found["exit_code"] == 3
    assert found["processor_seconds"] >= 0.2
