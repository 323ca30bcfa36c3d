from __future__ import annotations

import io

import pytest
from rich.console import Console

from hippo_client.cli.live_progress import LiveProgress, Screen, taken_up
from hippo_client.cli.picture import draw
from hippo_wire.v1 import study_pb2
from tests.unit.cli.pictures import snapshot, trial

SCHEDULE = {"schedule": "piecewise", "values": [0.05, 0.001], "milestones": [9]}


def screen(width: int) -> list[str]:
    trials = [
        trial(
            n,
            "running" if n < 2 else "paused",
            3,
            0.9 + n / 1000,
            {"lr": SCHEDULE, "batch_size": 32 + n, "x": n},
        )
        for n in range(30)
    ]
    out = io.StringIO()
    Console(file=out, width=width).print(Screen(draw(snapshot(trials, best=29)), 75.0))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_screen_of_80_columns() -> None:
    assert screen(80)[:7] == [
        "study   digits running · 0:01:15 · about 0:00:30 left · 2/2 slots busy",
        "trials  2 running, 28 paused",
        "best    accuracy 0.929 · trial 29 at step 3",
        "steps   101 trained, 264 without sharing · 62% saved",
        " TRIAL  STATE         STEP   accuracy  batch_size  x   lr",
        "     0  running       3/27        0.9  32          0   piecewise([0.05, 0.001…",
        "     1  running       3/27      0.901  33          1   piecewise([0.05, 0.001…",
    ]


def test_a_pause_is_told_at_once_and_what_a_running_study_waits_for_once_a_worker_may_be_there() -> None:
    def lines(state: int, reason: str, elapsed: float) -> list[str]:
        out = io.StringIO()
        study = snapshot([trial(0, "waiting", 2)], state=state, reason=reason)
        Console(file=out, width=100).print(Screen(draw(study), elapsed))
        return out.getvalue().splitlines()

    told = lines(study_pb2.STUDY_STATE_PAUSED, "paused by a user", 0.0)[1]
    assert told.strip() == "paused by a user; `hippo study resume digits` goes on"
    assert "no worker" not in lines(study_pb2.STUDY_STATE_RUNNING, "no worker is there", 1.0)[1]
    assert "no worker" in lines(study_pb2.STUDY_STATE_RUNNING, "no worker is there", 11.0)[1]


def test_a_long_reason_wraps_and_takes_no_room_from_the_labels() -> None:
    reason = (
        "no slot fits: the study asks for cpus 99, gpus any; the largest slot has cpus 1, gpus 0 and no more"
    )
    out = io.StringIO()
    study = snapshot([trial(0, "waiting", 2)], reason=reason)
    Console(file=out, width=80).print(Screen(draw(study), 1.0))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert [line[:8].strip() for line in lines[:5]] == ["study", "", "", "trials", "best"]
    assert " ".join(line.strip() for line in lines[1:3]) == reason


@pytest.mark.parametrize(
    ("outcome", "state", "told"),
    [
        ("unchanged", study_pb2.STUDY_STATE_RUNNING, "was submitted before; it goes on where it stands."),
        ("unchanged", study_pb2.STUDY_STATE_COMPLETED, "was submitted before; it has completed."),
        ("unchanged", study_pb2.STUDY_STATE_FAILED, "was submitted before; it has failed."),
        ("extended", study_pb2.STUDY_STATE_RUNNING, "is extended; it has 1 trial now."),
    ],
)
def test_a_study_that_was_there_before_is_told_with_what_it_does(outcome: str, state: int, told: str) -> None:
    study = snapshot([trial(0, "completed", 27)], state=state).study
    assert taken_up(study, outcome) == f"The study digits {told}"


def varying(width: int) -> str:
    """The headings of the table of trials with six hyper-parameters that vary."""
    trials = [trial(n, "running", 3, 0.5, {f"p{k}": n + k / 7 for k in range(6)}) for n in range(4)]
    out = io.StringIO()
    Console(file=out, width=width).print(Screen(draw(snapshot(trials)), 0.0))
    return next(line for line in out.getvalue().splitlines() if "TRIAL" in line).rstrip()


def test_hyperparameters_that_vary_and_are_not_shown_are_counted() -> None:
    assert varying(200).split() == ["TRIAL", "STATE", "STEP", "accuracy", "p0", "p1", "p2", "+3", "more"]
    assert varying(80).split()[4:] == ["p0", "p1", "p2", "+3", "more"]
    assert varying(60).split()[4:] == ["p0", "+5", "more"]
    assert varying(50).split()[4:] == ["+6", "more"]


def test_nothing_is_counted_where_all_that_varies_is_shown() -> None:
    assert "more" not in screen(200)[4]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_an_echoed_interrupt_still_fits_behind_every_line(width: int) -> None:
    assert max(map(len, screen(width))) <= width - len("^C")


def test_a_wide_terminal_shows_hyperparameters_whole() -> None:
    assert "piecewise([0.05, 0.001], [9])" in screen(200)[5]


def test_it_draws_in_place_and_leaves_the_terminal_clean() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    with LiveProgress(console) as shown:
        shown.notice("starting the server")
        study = snapshot([trial(0, "running", 1)], best=None)
        shown.submitted(study.study, "unchanged", ["max_steps rounded up to 28"])
        shown.show(study)
        shown.notice("The worker ended 3 times")
    written = out.getvalue()
    assert "goes on where it stands" in written
    assert "Warning: max_steps rounded up to 28" in written
    assert "The worker ended 3 times" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1, "the cursor comes back"
