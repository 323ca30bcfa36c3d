from __future__ import annotations

import pytest

from hippo_client.cli.line_progress import LineProgress
from hippo_client.watching import StudySnapshot
from hippo_wire.v1 import study_pb2
from tests.unit.cli.pictures import snapshot, trial


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(*snapshots: tuple[float, object]) -> list[str]:
    clock, lines = Clock(), list[str]()
    with LineProgress(lines.append, clock) as shown:
        for now, each in snapshots:
            clock.now = now
            shown.show(each)  # type: ignore[arg-type]
    return lines


def test_a_line_for_each_trial_that_ends_and_a_summary() -> None:
    before = [trial(0, "running", 9, 0.9), trial(1, "completed", 27, 0.95)]
    after = [trial(0, "completed", 27, 0.97), before[1]]
    ended = study_pb2.STUDY_STATE_COMPLETED
    lines = lines_of(
        (0.0, snapshot(before, best=1)), (5.0, snapshot(after, best=0, changed=[0], state=ended))
    )
    assert lines == [
        "0:00:05 trial 0 completed at step 27: accuracy 0.97 (best 0.97, trial 0)",
        "0:00:05 digits completed; 2 completed; best accuracy 0.97 · trial 0 at step 27; "
        "101 trained, 264 without sharing · 62% saved",
    ]


def test_with_several_objectives_all_are_told_and_the_front_is_counted() -> None:
    running, ended = trial(0, "running", 9), trial(0, "completed", 27, 0.97)
    ended.metrics.add(name="loss", value=1.5)
    other = trial(1, "completed", 27, 0.98)
    other.metrics.add(name="loss", value=1.7)
    lines = lines_of(
        (0.0, snapshot([running, other], front=[1])),
        (5.0, snapshot([ended, other], front=[1, 0], changed=[0])),
    )
    assert lines == [
        "0:00:05 trial 0 completed at step 27: accuracy 0.97, loss 1.5 (2 in the front)",
        "0:00:05 digits running; 2 completed; best 2 in the front; "
        "101 trained, 264 without sharing · 62% saved; about 0:00:30 left",
    ]


def test_trials_that_reach_a_rung_together_are_one_line() -> None:
    start = snapshot([trial(n, "waiting", 0) for n in range(4)])
    first = snapshot([trial(n, "paused", 1, 0.5) for n in range(4)], changed=[0, 1])
    second = snapshot([trial(n, "paused", 3 if n == 0 else 1, 0.5) for n in range(4)], changed=[0, 2, 3])
    lines = lines_of((0.0, start), (1.0, first), (2.0, second), (3.5, second))
    assert lines[0] == "0:00:04 rungs reached: 3 trials at step 1, 1 trial at step 3"


def test_a_failure_is_told_with_its_reason() -> None:
    start = snapshot([trial(0, "running", 2)])
    failed = snapshot([trial(0, "failed", 2, reason="ValueError: no such file\nTraceback ...")])
    assert (
        lines_of((0.0, start), (1.0, failed))[0]
        == "0:00:01 trial 0 failed at step 2: ValueError: no such file"
    )


def test_a_summary_a_minute() -> None:
    same = snapshot([trial(0, "running", 2)])
    lines = lines_of(*((float(second), same) for second in range(0, 125, 5)))
    assert len(lines) == 3
    assert lines[0].startswith("0:01:00 digits running; 1 running; best -; ")
    assert lines[0].endswith("about 0:00:30 left")


def test_a_pause_and_its_end_are_told_once() -> None:
    runs = snapshot([trial(0, "waiting", 2)])
    paused = snapshot([trial(0, "waiting", 2)], state=study_pb2.STUDY_STATE_PAUSED, reason="paused by a user")
    assert lines_of((0.0, runs), (1.0, paused), (2.0, paused), (3.0, runs))[:-1] == [
        "0:00:01 digits paused by a user; `hippo study resume digits` goes on",
        "0:00:03 digits goes on",
    ]


def waiting(reason: str) -> StudySnapshot:
    return snapshot([trial(0, "waiting", 0)], reason=reason)


def test_what_a_study_waits_for_is_told_when_it_has_waited_a_moment_and_when_it_changes() -> None:
    assert lines_of(
        (0.0, waiting("no slot fits: cpus 99")),
        (1.0, waiting("no slot fits: cpus 99")),
        (3.0, waiting("no slot fits: cpus 99")),
        (9.0, waiting("no slot fits: cpus 99")),
        (20.0, waiting("no worker has its environment")),
        (22.0, waiting("no worker has its environment")),
    )[:-1] == ["0:00:03 digits: no slot fits: cpus 99", "0:00:22 digits: no worker has its environment"]


def test_what_passes_in_a_moment_is_not_told() -> None:
    proposing, trains = "the sampler tpe is proposing trial 3", ""
    lines = lines_of(*((float(second), waiting((proposing, trains)[second % 2])) for second in range(9)))
    assert not any(proposing in line for line in lines[:-1])


def test_that_no_worker_is_there_is_told_once_one_had_the_time_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HIPPO_SERVER", raising=False)
    alone = waiting("no worker is there")
    assert lines_of((0.0, alone), (5.0, alone), (10.0, alone), (15.0, alone))[:-1] == [
        "0:00:10 digits: no worker is there; `hippo run STUDY.py` or `hippo up` starts one, which takes a moment"
    ]
    monkeypatch.setenv("HIPPO_SERVER", "example:7440")
    assert lines_of((0.0, alone), (10.0, alone))[0] == (
        "0:00:10 digits: no worker is there; `hippo-worker` starts one"
    )


def test_many_that_end_at_once_are_counted() -> None:
    start = snapshot([trial(n, "paused", 1) for n in range(50)])
    end = snapshot([trial(n, "stopped", 1) for n in range(50)])
    assert lines_of((0.0, start), (1.0, end))[0] == "0:00:01 50 stopped"
