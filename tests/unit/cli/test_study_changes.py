"""``hippo study``: commands that change one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from hippo_client import submission
from hippo_client.cli import edit as edit_command
from hippo_client.cli.main import call
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import EDITABLE, OTHER, STUDY, Server
from tests.unit.cli.pictures import snapshot


def test_forking_reads_values_as_json_or_text(
    server: Server, result: Callable[..., Any], text: Callable[..., str]
) -> None:
    line = [
        "study",
        "fork",
        "digits",
        "--trial",
        "3",
        "--at",
        "12",
        "--set",
        "lr=0.01",
        "--set",
        "optimizer=adam",
    ]
    assert text(*line) == "Trial 0 of digits was forked from trial 3 at step 12.\n"
    request = server.requests[-1]
    assert (request.name, request.trial, request.at) == ("digits", 3, 12)
    assert json.loads(request.hyperparameters_json) == {"lr": 0.01, "optimizer": "adam"}
    assert len(request.request_id) >= 32
    schedule = '{"schedule": "linear", "initial": 0.1, "final": 0, "period": 4}'
    assert (
        result("study", "fork", "digits", "--trial", "3", "--at", "0", "--set", f"lr={schedule}")["trial"]
        == 0
    )
    assert json.loads(server.requests[-1].hyperparameters_json) == {"lr": json.loads(schedule)}


@pytest.mark.parametrize("given", [[], ["--set", "lr"], ["--set", "=0.1"]])
@pytest.mark.usefixtures("server")
def test_forking_without_a_value_ends_with_2(given: list[str]) -> None:
    assert call(["study", "fork", "digits", "--trial", "3", "--at", "12", *given]) == 2


@pytest.mark.parametrize("given", ["inf", "-Infinity", "NaN", "1e999"])
def test_a_number_that_is_not_finite_is_no_value(
    given: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "fork", "digits", "--trial", "3", "--at", "12", "--set"]
    assert call([*line, f"lr={given}"]) == 2
    assert f"--set lr={given}: a number must be finite" in capsys.readouterr().err
    assert server.requests == []
    assert call([*line, f'lr="{given}"']) == 0
    assert json.loads(server.requests[-1].hyperparameters_json) == {"lr": given}


def test_enqueueing_reads_values_as_json_or_text(
    server: Server, result: Callable[..., Any], text: Callable[..., str]
) -> None:
    line = ["study", "enqueue", "digits", "--set", "lr=0.01", "--set", "optimizer.name=adam"]
    assert text(*line) == "Trial 0 of digits is at the point given.\n"
    assert server.requests[-1].name == "digits"
    assert json.loads(server.requests[-1].point_json) == {"lr": 0.01, "optimizer.name": "adam"}
    assert len(server.requests[-1].request_id) >= 32
    assert result(*line)["trial"] == 0


@pytest.mark.parametrize("given", [["--set", "lr"], ["--set", "=0.1"]])
@pytest.mark.usefixtures("server")
def test_enqueueing_without_a_value_ends_with_2(given: list[str]) -> None:
    assert call(["study", "enqueue", "digits", *given]) == 2


def test_a_retry_tells_who_was_left_out(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    left_out = "2 failed trials were replaced by forks and are not retried"
    server.answers["RetryTrials"] = study_pb2.RetryTrialsResponse(
        study=STUDY, trial_count=1, warnings=[left_out]
    )
    assert call(["study", "retry", "digits", "--json"]) == 0
    assert capsys.readouterr().err == f"1 trial opened again.\nWarning: {left_out}.\n"


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "retry"])
def test_steering_sends_a_request_id_and_prints_the_study(
    verb: str, server: Server, result: Callable[..., Any]
) -> None:
    assert result("study", verb, "digits")["study"] == "digits"
    request = server.requests[-1]
    assert request.name == "digits"
    assert len(request.request_id) >= 32


@pytest.mark.parametrize(
    ("verb", "state", "told"),
    [
        ("stop", "COMPLETED", "The study digits had completed already; nothing to stop.\n"),
        ("stop", "FAILED", "The study digits had failed already; nothing to stop.\n"),
        ("stop", "STOPPED", "The study digits had been stopped already; nothing to stop.\n"),
        ("pause", "PAUSED", "The study digits was paused already; nothing to pause.\n"),
        ("resume", "RUNNING", "The study digits was running already; nothing to resume.\n"),
    ],
)
def test_steering_says_so_where_there_is_nothing_to_do(
    verb: str, state: str, told: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = snapshot([OTHER], state=study_pb2.StudyState.Value(f"STUDY_STATE_{state}")).study
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=found)
    method = f"{verb.capitalize()}Study"
    server.answers[method] = type(server.answers[method])(study=found)
    assert call(["study", verb, "digits"]) == 0
    assert capsys.readouterr().err == told


def test_steering_that_changes_something_prints_only_the_study(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = snapshot([OTHER]).study
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=runs)
    stopped = snapshot([OTHER], state=study_pb2.STUDY_STATE_STOPPED).study
    server.answers["StopStudy"] = study_pb2.StopStudyResponse(study=stopped)
    assert call(["study", "stop", "digits"]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0], err) == ("Study digits stopped: 1 trial, 1 stopped.", "")


def test_extend_sends_only_what_is_given(server: Server, result: Callable[..., Any]) -> None:
    result("study", "extend", "digits", "--max-trials", "128")
    request = server.requests[-1]
    assert request.max_trials == 128
    assert not request.HasField("max_steps")
    assert not request.HasField("priority")


def test_extend_sends_the_endings_that_are_given(server: Server, result: Callable[..., Any]) -> None:
    result("study", "extend", "digits", "--timeout-hours", "2", "--target", "0.97")
    request = server.requests[-1]
    assert json.loads(request.endings_json) == [
        {"ending": "timeout", "seconds": 7200.0},
        {"ending": "target", "value": 0.97},
    ]


@pytest.mark.parametrize(
    ("state", "ending", "changed", "words"),
    [
        ("COMPLETED", "", False, "is so already; nothing to extend."),
        ("COMPLETED", "", True, "stays completed; a larger --max-trials or --max-steps takes it up again."),
        ("FAILED", "timeout", True, "stays failed; a change of its ending timeout takes it up again."),
        ("PAUSED", "", True, "stays paused; `hippo study resume digits` takes it up again."),
        ("RUNNING", "", True, ""),
    ],
)
def test_extend_says_so_where_nothing_follows(
    server: Server, capsys: pytest.CaptureFixture[str], state: str, ending: str, changed: bool, words: str
) -> None:
    before, after = study_pb2.Study(), study_pb2.Study()
    before.CopyFrom(EDITABLE)
    before.state, before.ending = study_pb2.StudyState.Value(f"STUDY_STATE_{state}"), ending
    after.CopyFrom(before)
    if changed:
        after.spec_json = json.dumps(json.loads(before.spec_json) | {"priority": 3})
        words = words and f"The study digits is changed and {words}"
    else:
        words = f"The study digits {words}"
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=before)
    server.answers["ExtendStudy"] = study_pb2.ExtendStudyResponse(study=after)
    assert call(["study", "extend", "digits", "--target", "0.1"]) == 0
    assert capsys.readouterr().err.strip() == words


def test_extend_speaks_of_horizons_where_steps_follow_from_them(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = study_pb2.Study(), study_pb2.Study()
    before.CopyFrom(EDITABLE)
    before.state = study_pb2.STUDY_STATE_COMPLETED
    after.CopyFrom(before)
    spec = json.loads(before.spec_json)
    spec["program"]["evaluate_every"] = 3
    after.spec_json = json.dumps(spec | {"horizons": [4, 9]})
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=before)
    server.answers["ExtendStudy"] = study_pb2.ExtendStudyResponse(study=after)
    assert call(["study", "extend", "digits", "--horizon", "4"]) == 0
    told = capsys.readouterr().err
    assert "Warning: horizons are rounded up for evaluate_every=3: 4 -> 6." in told
    assert "a larger --max-trials or a further --horizon takes it up again." in told


@pytest.mark.usefixtures("server")
def test_an_ending_that_ends_nothing_is_a_usage_error() -> None:
    assert call(["study", "extend", "digits", "--max-slot-hours", "0"]) == 2
    assert call(["study", "extend", "digits"]) == 2


def test_edit_of_the_priority_asks_nothing(server: Server, result: Callable[..., Any]) -> None:
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=EDITABLE)
    assert result("study", "edit", "digits", "--priority", "3") == {
        "study": "digits",
        "changed": True,
        "differences": ["priority: 0 -> 3"],
        "warnings": ["look here"],
    }
    request = server.requests[-1]
    assert json.loads(request.spec_json)["priority"] == 3
    assert not request.dry_run


def test_edit_shows_what_would_change_and_does_nothing(
    server: Server, text: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=EDITABLE)
    shown = text("study", "edit", "digits", "--priority", "3", "--dry-run")
    assert shown == "priority: 0 -> 3\ndigits would be changed.\n"
    assert [request.dry_run for request in server.requests if hasattr(request, "dry_run")] == [True]
    server.answers["EditStudy"] = study_pb2.EditStudyResponse(study=STUDY)
    assert text("study", "edit", "digits", "--priority", "0") == "Nothing to change in digits.\n"


EDITED_FILE = """
import hippo_client as hippo

study = hippo.Study("trainer:T", {"lr": 0.1}, minimize="loss", max_steps=9)
"""


@pytest.fixture
def edited_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A study file, with somebody at the terminal who can be asked."""
    (tmp_path / "other.py").write_text(EDITED_FILE)
    (tmp_path / "trainer.py").write_text(
        "class T:\n"
        + "".join(f"    def {name}(self, *_): ...\n" for name in ("setup", "apply", "train", "evaluate"))
    )
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=EDITABLE)
    monkeypatch.setattr(submission, "upload", lambda *_: None)
    monkeypatch.setattr(edit_command, "_is_somebody_there", lambda: True)
    return str(tmp_path / "other.py")


def test_who_does_not_confirm_an_edit_changes_nothing_and_that_is_no_failure(
    server: Server, edited_file: str, monkeypatch: pytest.MonkeyPatch, text: Callable[..., str]
) -> None:
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert text("study", "edit", "digits", edited_file).splitlines()[-1] == "Nothing changed in digits."
    assert [request.dry_run for request in server.requests if hasattr(request, "dry_run")] == [True]


def test_an_edit_that_starts_a_stopped_study_again_says_so(server: Server, text: Callable[..., str]) -> None:
    present = study_pb2.GetStudyResponse(study=EDITABLE)
    present.study.state = study_pb2.STUDY_STATE_STOPPED

    def edit(*_: object, **__: object) -> study_pb2.EditStudyResponse:
        present.study.state = study_pb2.STUDY_STATE_RUNNING
        return study_pb2.EditStudyResponse(study=present.study, differences=["priority: 0 -> 3"])

    server.answers["GetStudy"] = present
    server.EditStudy = edit  # type: ignore[attr-defined]
    shown = text("study", "edit", "digits", "--priority", "3")
    assert shown == "priority: 0 -> 3\nChanged digits; it was stopped, and runs again.\n"


def test_on_a_terminal_the_lines_of_an_edit_are_wrapped(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["space.lr: " + "0.1 " * 40 + "-> 0.2", "look " * 30 + "here"]
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=EDITABLE)
    server.answers["EditStudy"] = study_pb2.EditStudyResponse(differences=words[:1], warnings=words[1:])
    arguments = ["study", "edit", "digits", "--priority", "3", "--dry-run"]
    assert call(arguments) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0], err.splitlines()) == (words[0], [f"Warning: {words[1]}"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert call(arguments) == 0
    out, err = capsys.readouterr()
    assert max(map(len, [*out.splitlines(), *err.splitlines()])) <= 80
    assert " ".join(out.split()) == f"{words[0]} digits would be changed."
    assert " ".join(err.split()) == f"Warning: {words[1]}"


def test_edit_without_anything_to_change_or_anybody_to_ask_ends_with_2(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["study", "edit", "digits"]) == 2
    assert "--priority" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    assert call(["study", "edit", "digits", "study.py"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert server.requests == []
