"""``hippo trial``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hippo_client.cli.main import call
from hippo_core.errors import InvalidStudy, NotFound
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.unit.cli.answers import BEST, DETAIL, SCHEDULE, STUDY, WORKER, Server
from tests.unit.cli.pictures import STATES, trial


def test_trial_explain_lists_what_happened(
    server: Server, result: Callable[..., Any], text: Callable[..., str]
) -> None:
    told = result("trial", "explain", "digits", "3")
    assert [list(each) for each in told] == [["at", "event", "step", "reason", "by"]] * 2
    assert [(each["event"], each["step"], each["reason"]) for each in told] == [
        ("created", None, "point 3, as u submitted the study"),
        ("requested", 9, "enters at step 9"),
    ]
    assert (server.requests[-1].name, server.requests[-1].trial) == ("digits", 3)
    assert "enters at step 9" in text("trial", "explain", "digits", "3")


def test_explaining_an_unknown_trial_ends_with_5(server: Server) -> None:
    server.answers["ExplainTrial"] = NotFound("study 'digits' has no trial 99.")
    assert call(["trial", "explain", "digits", "99"]) == 5


def test_stopping_a_trial_tells_where_it_stopped(
    server: Server, result: Callable[..., Any], text: Callable[..., str]
) -> None:
    assert text("trial", "stop", "digits", "0") == "Trial 0 of digits stopped at step 3.\n"
    assert (server.requests[-1].name, server.requests[-1].trial) == ("digits", 0)
    assert len(server.requests[-1].request_id) >= 32
    assert result("trial", "stop", "digits", "0")["state"] == "stopped"


def test_extending_a_trial_sends_the_step_and_tells_warnings(
    server: Server, result: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["trial", "extend", "digits", "0", "--to", "81"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "Warning: rounded.\n"
    assert printed.out.startswith("Trial 0 of digits, at step 3, is trained further")
    assert (server.requests[-1].trial, server.requests[-1].to) == (0, 81)
    assert len(server.requests[-1].request_id) >= 32
    assert result("trial", "extend", "digits", "0", "--to", "81")["trial"] == 0


def test_extending_to_where_a_trial_is_says_so(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["ExtendTrial"] = study_pb2.ExtendTrialResponse(trial=BEST)
    assert call(["trial", "extend", "digits", "3", "--to", "27"]) == 0
    assert "already; nothing to extend" in capsys.readouterr().err


def test_extending_below_what_was_reached_ends_with_2(server: Server) -> None:
    server.answers["ExtendTrial"] = InvalidStudy("to", "2 is below step 3, which trial 0 has reached")
    assert call(["trial", "extend", "digits", "0", "--to", "2"]) == 2
    assert call(["trial", "extend", "digits", "0"]) == 2


def test_a_fork_tells_its_parent(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    detail = study_pb2.GetTrialResponse()
    detail.CopyFrom(DETAIL)
    detail.trial.parent, detail.trial.forked_at = 1, 9
    server.answers["GetTrial"] = detail
    assert "Forked from trial 1 at step 9" in text("trial", "show", "digits", "3").splitlines()
    assert result("trial", "show", "digits", "3")["fork"] == {"trial": 1, "at": 9, "instead_of": None}
    detail.trial.instead_of = 2
    shown = text("trial", "show", "digits", "3").splitlines()
    assert "Forked from trial 1 at step 9, in place of trial 2" in shown
    assert result("trial", "show", "digits", "3")["fork"] == {"trial": 1, "at": 9, "instead_of": 2}


def test_a_trial_lists_its_probes_and_a_slot_that_trains_one_says_so(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    detail = study_pb2.GetTrialResponse()
    detail.CopyFrom(DETAIL)
    done = detail.probes.add(probe=1, at=9, to=10, factors={"lr": 0.1}, state=STATES["completed"], step=10)  # type: ignore[arg-type]
    done.metrics.add(name="val_loss", value=0.4125)
    detail.probes.add(
        probe=2, at=18, to=20, state=STATES["diverged"], step=19, failure="accuracy is not finite"
    )  # type: ignore[arg-type]
    detail.probes.add(probe=3, at=27, to=28, factors={"lr": 0.1, "batch_size": 2.0}, state=STATES["running"])  # type: ignore[arg-type]
    server.answers["GetTrial"] = detail
    assert text("trial", "show", "digits", "3").splitlines()[-3:] == [
        "Probe from step 9 to 10 at lr x 0.1: val_loss 0.4125",
        "Probe from step 18 to 20 at the values in force: diverged, accuracy is not finite",
        "Probe from step 27 to 28 at batch_size x 2, lr x 0.1: running",
    ]
    shown = result("trial", "show", "digits", "3")["probes"]
    assert [each["state"] for each in shown] == ["completed", "diverged", "running"]
    assert shown[0]["metrics"] == {"val_loss": 0.4125}
    worker = admin_pb2.Worker()
    worker.CopyFrom(WORKER)
    worker.slots[0].probe_of = 3
    server.answers["ListWorkers"] = admin_pb2.ListWorkersResponse(workers=[worker])
    assert text("worker").splitlines()[1].endswith("digits, a probe of trial 3, at step 9")
    assert [slot["probe_of"] for slot in result("worker", "ls")[0]["slots"]] == [3, None]
    study = study_pb2.Study()
    study.CopyFrom(STUDY)
    study.savings.steps_in_probes = 12
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=study)
    assert "  12 steps of them in probes" in text("study", "show", "digits").splitlines()


def test_stopping_a_trial_that_has_ended_says_so_and_is_no_error(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["StopTrial"] = study_pb2.StopTrialResponse(trial=BEST)
    assert call(["trial", "stop", "digits", "3", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "Trial 3 of digits had ended already: completed; nothing to stop.\n"
    assert json.loads(printed.out)["trial"] == 3


@pytest.mark.usefixtures("server")
def test_trial_ls(text: Callable[..., str], result: Callable[..., Any]) -> None:
    assert result("trial", "ls", "digits")[0] == {
        "trial": 0,
        "state": "stopped",
        "step": 3,
        "metrics": {"accuracy": 0.81},
        "hyperparameters": {"lr": 0.1, "batch_size": 64},
        "reason": "",
    }
    assert text("trial", "ls", "digits").splitlines() == [
        "TRIAL  STATE      STEP  accuracy  lr                                              batch_size",
        "    0  stopped       3      0.81  0.1                                             64",
        "    3  completed    27    0.9722  multistep(0.05, gamma=0.1, milestones=[9, 18])  32",
    ]


WIDE = [
    trial(
        number,
        "failed" if number else "completed",
        27,
        0.25 + number / 3,
        {
            "momentum": 0.9,
            "lr": {**SCHEDULE, "initial": 0.1 + number / 7},
            "optimizer": "sgd\n" if number else "adam",
            "sizes": [number] * 8,
        },
        reason="ValueError: no such file\nTraceback ..." if number else "",
    )
    for number in range(3)
]


@pytest.fixture
def wide(server: Server) -> Server:
    """A study whose trials do not fit a terminal."""
    server.answers["ListTrials"] = study_pb2.ListTrialsResponse(trials=WIDE)
    return server


@pytest.mark.usefixtures("wide")
def test_off_a_terminal_trial_ls_loses_nothing(
    text: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    heading, *lines = text("trial", "ls", "digits").splitlines()
    assert heading.split() == [
        *("TRIAL", "STATE", "STEP", "accuracy", "REASON", "lr", "sizes", "optimizer", "momentum"),
    ]
    assert [len(line) for line in lines] == [len(lines[0])] * 3, "the last column ends in the same place"
    assert repr(0.25 + 2 / 3) in lines[2]
    assert f"multistep({0.1 + 2 / 7}, gamma=0.1, milestones=[9, 18])" in lines[2]
    assert "[2, 2, 2, 2, 2, 2, 2, 2]" in lines[2]
    assert r"ValueError: no such file\nTraceback ..." in lines[2]
    assert r"sgd\n" in lines[2]


@pytest.mark.usefixtures("wide")
def test_on_a_terminal_trial_ls_fits_and_names_what_it_leaves_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert call(["trial", "ls", "digits"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "TRIAL  STATE      STEP  accuracy  REASON          lr              sizes",
        "    0  completed    27      0.25                  multistep(0.1…  [0, 0, 0, 0, …",
        "    1  failed       27   0.58333  ValueError: n…  multistep(0.2…  [1, 1, 1, 1, …",
        "    2  failed       27   0.91667  ValueError: n…  multistep(0.3…  [2, 2, 2, 2, …",
    ]
    told = "Left out: optimizer, momentum; `hippo trial show digits N` and --json show them."
    assert " ".join(err.split()) == told
    assert max(map(len, [*out.splitlines(), *err.splitlines()])) <= 80


@pytest.mark.usefixtures("wide")
def test_a_wider_terminal_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert call(["trial", "ls", "digits"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split()[-4:] == ["lr", "sizes", "optimizer", "momentum"]
    assert "multistep(0.242857, 0.1, [9, 18])" in out
    assert err == ""


@pytest.mark.usefixtures("server")
def test_trial_show(text: Callable[..., str], result: Callable[..., Any]) -> None:
    shown = result("trial", "show", "digits", "3")
    assert shown["history"] == [
        {"step": 1, "metrics": {"accuracy": 0.5}},
        {"step": 2, "metrics": {"accuracy": None}},
    ]
    assert shown["values"] == [{"lr": 0.05}, {"lr": 0.005}]
    assert [part["node"] for part in shown["path"]] == [7, 8]
    lines = text("trial", "show", "digits", "3").splitlines()
    assert lines[0] == "Trial 3 completed at step 27 of 27"
    assert lines[-3:] == ["STEP  accuracy", "   1       0.5", "   2         -"]


@pytest.mark.usefixtures("server")
def test_trial_logs(capsys: pytest.CaptureFixture[str], result: Callable[..., Any]) -> None:
    assert call(["trial", "logs", "digits", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "epoch 0\nepoch 1\n"
    assert err == "--- node 7, lease 1\n"
    assert [piece["text"] for piece in result("trial", "logs", "digits", "3")] == ["epoch 0\n", "epoch 1\n"]
