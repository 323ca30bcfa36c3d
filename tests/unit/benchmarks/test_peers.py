"""The workload of the comparison with peers, and how its epochs are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import control, environments, notes, running, workload
from benchmarks.peers.running import Run


def prefixes(points: list[workload.Point]) -> set[tuple[workload.Values, ...]]:
    histories = [tuple(point.values(epoch) for epoch in range(workload.EPOCHS)) for point in points]
    return {history[: epoch + 1] for history in histories for epoch in range(workload.EPOCHS)}


def test_two_thirds_of_the_epochs_differ_in_what_came_before():
    points = workload.points()
    assert (len(points), len(set(points))) == (64, 64)
    assert len(points) * workload.EPOCHS == 1_728
    assert len(prefixes(points)) == 1_152


def test_epochs_are_counted_over_processes_and_distinct_by_their_histories(tmp_path: Path):
    (tmp_path / "1.jsonl").write_text(json.dumps(["a", 1, 32, 10.0, 10.25, 0.2]) + "\n")
    (tmp_path / "2.jsonl").write_text(
        json.dumps(["a", 1, 32, 9.5, 9.75, 0.2]) + "\n" + json.dumps(["b", 2, 64, 10.0, 10.5, 0.25]) + "\n"
    )
    found = notes.read(tmp_path)
    assert (found.count, found.distinct, found.processes) == (3, 2, 2)
    assert (found.first, found.last, found.seconds) == (9.5, 10.5, 1.0)
    assert found.of_batch_size == {32: notes.Alike(2, 0.5), 64: notes.Alike(1, 0.5)}
    assert found.processor_seconds == pytest.approx(0.65)
    assert found.idle_seconds(slots=2) == 1.0


def run_of(
    seconds: float, wall: float = 10.0, start_up: float = 3.0, **of_batch_size: tuple[int, float]
) -> Run:
    """A run whose epochs were trained within so many seconds; ``size_32=(count, seconds)``."""
    alike = {int(name.removeprefix("size_")): notes.Alike(*each) for name, each in of_batch_size.items()} or {
        32: notes.Alike(1, seconds)
    }
    count = sum(each.count for each in alike.values())
    epochs = notes.Epochs(count, count, 100.0, 100.0 + seconds, alike, 1.0, 2)
    written = running.Written(50_000_000, 0, 0)
    return Run(epochs, wall, start_up, 0.1, 5.0, 1, written, written, 2.0, 1, 1, "")


def test_overhead_is_beyond_the_bare_loops_epochs_of_the_same_batch_sizes():
    """Epochs of 32 take 1.5 s, and those of 64 take 1 s; the loop's slots are idle for a fifth of the time."""
    bare = run_of(12.5, size_32=(8, 12.0), size_64=(8, 8.0))
    assert peers.overhead_seconds(bare, [bare]) == pytest.approx(0.0)
    few = run_of(10.0, size_32=(4, 6.0), size_64=(8, 8.0))
    assert peers.overhead_seconds(few, [bare]) == pytest.approx(20.0 - 14.0 * 1.25)
    assert peers.overhead_seconds(run_of(2.0, size_64=(2, 2.0)), [bare, bare]) == pytest.approx(1.5)


def test_each_kind_of_hippo_is_judged_in_each_part():
    """Overhead under ASHA, what is written with the database's making, and a start with it are; peers are not."""
    runs = {
        each.name: [run_of(2.0, wall=wall)]
        for each, wall in ((running.HIPPO, 4.0), (running.HIPPO_STOPPING, 6.0), (running.OPTUNA, 10.0))
    }
    bare = {running.BARE.name: [run_of(1.0, start_up=2.5)]}
    found = {
        each.name: each
        for each in (
            *peers._figures("asha", runs, bare),
            *peers._asha_aims(runs),
            *peers._grid_aims({**runs, **bare}),
        )
        if each.aim is not None
    }
    assert {name.partition(": ")[2]: each.aim for name, each in found.items() if "that stops" in name} == {
        "overhead per trial": 0.03,
        "written": 60.0,
        "written, with the database's making": 60.0,
        "wall against the best peer": 0.5,
    }
    assert found["asha, Hippo: wall against the best peer"].reached is True
    assert found["asha, Hippo that stops: wall against the best peer"].reached is False
    assert found["asha, Hippo: overhead per trial"].aim == 0.03
    assert found["asha, Hippo: written, with the database's making"].values == (100.0,)
    late = found["grid, Hippo: start-up beyond the bare loop, with the database's making"]
    assert (late.values, late.reached) == ((2.5,), False)
    assert not any("Optuna" in name for name in found)


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
    figures = {each.name: each.values for each in control._rates(failures)}
    assert figures == {
        "no-op trials, 1 slots, Optuna": (2.0,),
        "no-op trials, 2 slots, Optuna": (2.0, 2.0, 2.0),
        "no-op trials, 16 slots, Optuna": (2.0,),
        "no-op trials, 64 slots, Optuna": (2.0,),
    }
    assert len(failures) == 6
    assert "Ray Tune's rate at 1 slots" in failures[0]


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
