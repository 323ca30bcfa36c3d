"""The commands over a server whose answers are made by hand."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from hippo_client import submission
from hippo_client.cli import edit as edit_command
from hippo_client.cli import study as study_commands
from hippo_client.cli import trial as trial_commands
from hippo_client.cli import worker as worker_commands
from hippo_client.cli.main import call
from hippo_core.errors import InvalidStudy, NotFound
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.studies import grid
from tests.unit.cli.pictures import STATES, snapshot, trial

SCHEDULE = {"schedule": "multistep", "initial": 0.05, "gamma": 0.1, "milestones": [9, 18]}
BEST = trial(3, "completed", 27, 0.9722, {"lr": SCHEDULE, "batch_size": 32})
OTHER = trial(0, "stopped", 3, 0.81, {"lr": 0.1, "batch_size": 64})
STUDY = snapshot([OTHER, BEST], best=3, state=study_pb2.STUDY_STATE_COMPLETED).study
DETAIL = study_pb2.GetTrialResponse(
    trial=BEST,
    history=[
        study_pb2.Evaluation(step=1, metrics=[study_pb2.Metric(name="accuracy", value=0.5)]),
        study_pb2.Evaluation(step=2, metrics=[study_pb2.Metric(name="accuracy")]),
    ],
    values_json='[{"lr": 0.05}, {"lr": 0.005}]',
    path=[
        study_pb2.PathPart(node=7, start=0, stop=9, trial_count=12),
        study_pb2.PathPart(node=8, start=9, stop=27),
    ],
)
EXPLANATION = study_pb2.ExplainTrialResponse(
    trial=BEST,
    events=[
        study_pb2.TrialEvent(event="created", reason="point 3, as u submitted the study", by="sampler grid"),
        study_pb2.TrialEvent(event="requested", step=9, reason="enters at step 9", by="policy asha"),
    ],
)
WORKER = admin_pb2.Worker(
    name="w",
    host="h",
    state=admin_pb2.WORKER_STATE_LIVE,
    slots=[
        admin_pb2.SlotStatus(index=0, device="cpu", model="EPYC", fence=5, study="digits", step=9),
        admin_pb2.SlotStatus(index=1, device="cpu", model="EPYC"),
    ],
    environment_json='{"torch": "2.13.0"}',
    labels={"room": "b"},
)


EDITABLE = study_pb2.Study(
    name="digits",
    state=study_pb2.STUDY_STATE_RUNNING,
    spec_json=json.dumps(grid({"lr": 0.1}, name="digits").to_json()),
)


class Server:
    """Answers each method with what the test gave it, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: dict[str, Any] = {
            "GetStudy": study_pb2.GetStudyResponse(study=STUDY),
            "ListStudies": study_pb2.ListStudiesResponse(studies=[STUDY]),
            "ListTrials": study_pb2.ListTrialsResponse(trials=[OTHER, BEST]),
            "GetTrial": DETAIL,
            "ExplainTrial": EXPLANATION,
            "PauseStudy": study_pb2.PauseStudyResponse(study=STUDY),
            "ResumeStudy": study_pb2.ResumeStudyResponse(study=STUDY),
            "StopStudy": study_pb2.StopStudyResponse(study=STUDY),
            "ExtendStudy": study_pb2.ExtendStudyResponse(study=STUDY),
            "EditStudy": study_pb2.EditStudyResponse(
                study=STUDY, differences=["priority: 0 -> 3"], warnings=["look here"]
            ),
            "RetryTrials": study_pb2.RetryTrialsResponse(study=STUDY, trial_count=2),
            "ExtendTrial": study_pb2.ExtendTrialResponse(trial=OTHER, extended=True, warnings=["rounded"]),
            "ForkTrial": study_pb2.ForkTrialResponse(trial=OTHER),
            "EnqueueTrial": study_pb2.EnqueueTrialResponse(trial=OTHER),
            "StopTrial": study_pb2.StopTrialResponse(trial=OTHER, stopped=True),
            "DeleteStudy": study_pb2.DeleteStudyResponse(trial_count=2),
            "ReadTrialLog": [
                study_pb2.ReadTrialLogResponse(node=7, fence=1, text="epoch 0\n"),
                study_pb2.ReadTrialLogResponse(node=7, fence=1, text="epoch 1\n"),
            ],
            "ExportStudy": [
                study_pb2.ExportStudyResponse(data=piece)
                for piece in (b'{"hippo_study":1,', b'"name":"digits"}\n')
            ],
            "GetStageTree": study_pb2.GetStageTreeResponse(
                nodes=[
                    study_pb2.StageTreeNode(
                        node=7,
                        start=0,
                        stop=9,
                        trained=9,
                        values_json='{"lr": 0.05}',
                        trials=[0, 3],
                        ending=[0],
                    ),
                    study_pb2.StageTreeNode(
                        node=8,
                        parent=7,
                        start=9,
                        stop=27,
                        trained=27,
                        values_json='{"lr": 0.005}',
                        trials=[3],
                    ),
                ]
            ),
            "ListWorkers": admin_pb2.ListWorkersResponse(workers=[WORKER]),
            "DrainWorker": admin_pb2.DrainWorkerResponse(worker=WORKER),
        }

    def __getattr__(self, method: str) -> Callable[[Any], Any]:
        def answer(request: Any, **_: Any) -> Any:
            self.requests.append(request)
            given = self.answers[method]
            if isinstance(given, Exception):
                raise given
            return given

        return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()

    @contextmanager
    def connect(**_: object) -> Iterator[Any]:
        yield SimpleNamespace(connection=SimpleNamespace(studies=fake, admin=fake))

    for module in (study_commands, edit_command, trial_commands, worker_commands):
        monkeypatch.setattr(module, "connect", connect)
    return fake


@pytest.fixture
def result(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command prints with --json."""

    def run(*arguments: str) -> Any:
        assert call([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints for a person."""

    def run(*arguments: str) -> str:
        assert call(list(arguments)) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.usefixtures("server")
def test_study_show_json_has_the_promised_shape(result: Callable[..., Any]) -> None:
    shown = result("study", "show", "digits")
    assert list(shown) == [
        "study", "state", "trials", "best", "best_trials", "savings", "hint", "policy", "sampler", "chosen", "reason",
        "ending", "endings", "changes",
    ]  # fmt: skip
    assert (shown["study"], shown["state"], shown["trials"]["completed"]) == ("digits", "completed", 1)
    assert shown["best"] == {
        "trial": 3,
        "step": 27,
        "metrics": {"accuracy": 0.9722},
        "hyperparameters": {"lr": SCHEDULE, "batch_size": 32},
    }
    assert shown["best_trials"] == [shown["best"]]
    assert set(shown["savings"]) == {
        "steps_without_sharing",
        "steps_trained",
        "steps_retrained",
        "steps_in_probes",
        "merge_rate",
        "seconds_trained",
        "seconds_saved",
    }
    assert result("study", "ls") == [shown]


@pytest.mark.usefixtures("server")
def test_study_show_reads_well(text: Callable[..., str]) -> None:
    assert text("study", "show", "digits").splitlines() == [
        "Study digits completed: 2 trials, 1 completed, 1 stopped.",
        "",
        "Best: trial 3 at step 27, accuracy 0.9722",
        "  lr          multistep(0.05, gamma=0.1, milestones=[9, 18])",
        "  batch_size  32",
        "",
        "Sharing               with   without   saved",
        "  steps                101       264     62%",
        "  slot seconds        17.1      44.5     62%",
        "  merge rate          2.61",
        "  2 steps of them trained again",
    ]


@pytest.mark.usefixtures("server")
def test_a_noun_alone_lists(text: Callable[..., str]) -> None:
    assert text("study") == text("study", "ls")
    assert text("study").splitlines() == [
        "STUDY   STATE      COMPLETED  BEST             STEPS  SAVED",
        "digits  completed        1/2  accuracy 0.9722    101    62%",
    ]


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


def test_show_tells_why_a_study_ended_and_how_far_its_other_endings_have_come(
    server: Server, text: Callable[..., str]
) -> None:
    reached = "target 0.97 reached: trial 3 has accuracy 0.9722 at step 27"
    ended = study_pb2.Study()
    ended.CopyFrom(STUDY)
    ended.reason, ended.ending = reached, "target"
    ended.endings.extend(["timeout: ran 1 min 0 s of 2 h 0 min", reached])
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=ended)
    lines = text("study", "show", "digits").splitlines()
    assert lines[1:5] == [reached, "", "Endings", "  timeout: ran 1 min 0 s of 2 h 0 min"]


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


def test_show_tells_how_a_study_was_changed(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    changed = study_pb2.Study()
    changed.CopyFrom(STUDY)
    changed.changes.add(by="ada", differences=["priority: 0 -> 3"]).time.FromSeconds(86_400)
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=changed)
    shown = text("study", "show", "digits")
    assert re.search(r"Changed 1970-01-0[123] \d\d:\d\d by ada\n  priority: 0 -> 3", shown)
    assert result("study", "show", "digits")["changes"] == [
        {"at": "1970-01-02T00:00:00+00:00", "by": "ada", "differences": ["priority: 0 -> 3"]}
    ]


def test_what_repeats_come_to_is_told_with_its_spread(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    repeated = study_pb2.Trial()
    repeated.CopyFrom(BEST)
    repeated.spread.add(name="accuracy", value=0.00412)
    study = study_pb2.Study()
    study.CopyFrom(STUDY)
    study.best_trial.CopyFrom(repeated)
    detail = study_pb2.GetTrialResponse(trial=repeated, values_json="[]")
    detail.history.add(
        step=27, metrics=repeated.metrics, spread=[study_pb2.Metric(name="accuracy", value=0.00412)]
    )
    for repeat, value in enumerate((0.97, 0.975)):
        one = detail.repeats.add(repeat=repeat, seed=7 + repeat, state=BEST.state, step=27)
        one.history.add(step=27, metrics=[study_pb2.Metric(name="accuracy", value=value)])
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=study)
    server.answers["ListTrials"] = study_pb2.ListTrialsResponse(trials=[OTHER, repeated])
    server.answers["GetTrial"] = detail
    assert "Best: trial 3 at step 27, accuracy 0.9722 ± 0.0041" in text("study", "show", "digits")
    assert "0.9722 ± 0.00412" in text("trial", "ls", "digits")
    shown = text("trial", "show", "digits", "3")
    assert "0.9722 ± 0.0041" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["1", "8", "completed", "27", "0.975"] in rows
    assert result("trial", "ls", "digits")[1]["spread"] == {"accuracy": 0.00412}
    assert "spread" not in result("trial", "ls", "digits")[0]
    told = result("trial", "show", "digits", "3")
    assert told["history"][0]["spread"] == {"accuracy": 0.00412}
    assert told["repeats"][1] == {
        "repeat": 1,
        "seed": 8,
        "state": "completed",
        "step": 27,
        "history": [{"step": 27, "metrics": {"accuracy": 0.975}}],
    }
    assert result("study", "show", "digits")["best"]["spread"] == {"accuracy": 0.00412}


def test_what_is_feasible_is_told_and_what_is_best_where_nothing_is(
    server: Server, text: Callable[..., str], result: Callable[..., Any]
) -> None:
    """1. The best trial is feasible, another not, a third infinitely not. 2. The best one violates something, too."""
    best, other, worst = study_pb2.Trial(), study_pb2.Trial(), study_pb2.Trial()
    best.CopyFrom(BEST)
    other.CopyFrom(OTHER)
    worst.CopyFrom(OTHER)
    best.violation, other.violation, worst.violation = 0.0, 0.2345, math.inf
    study = study_pb2.Study()
    study.CopyFrom(STUDY)
    study.best_trial.CopyFrom(best)
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=study)
    server.answers["ListTrials"] = study_pb2.ListTrialsResponse(trials=[other, best, worst])
    server.answers["GetTrial"] = study_pb2.GetTrialResponse(trial=other, values_json="[]")
    assert re.search(
        r"Best: trial 3 at step 27, accuracy 0\.9722.*; feasible\n", text("study", "show", "digits")
    )
    table = text("trial", "ls", "digits")
    assert "FEASIBLE" in table
    assert [words for words in ("no, by 0.234", "yes", "no, by inf") if words in table] == [
        "no, by 0.234",
        "yes",
        "no, by inf",
    ]
    assert "Infeasible by 0.234" in text("trial", "show", "digits", "0")
    assert [(each["feasible"], each["violation"]) for each in result("trial", "ls", "digits")] == [
        (False, 0.2345),
        (True, 0.0),
        (False, None),
    ]
    assert result("study", "show", "digits")["best"]["feasible"] is True
    study.best_trial.CopyFrom(other)
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=study)
    assert "No trial is feasible. The least violating: trial" in text("study", "show", "digits")
    server.answers["ListStudies"] = study_pb2.ListStudiesResponse(studies=[study])
    assert "infeasible" in text("study", "ls")


def test_without_constraints_nothing_is_said_of_feasibility(
    text: Callable[..., str], result: Callable[..., Any], server: Server
) -> None:
    assert "FEASIBLE" not in text("trial", "ls", "digits")
    assert "feasible" not in text("study", "show", "digits")
    assert not {"feasible", "violation"} & set(result("trial", "ls", "digits")[0])


@pytest.mark.usefixtures("server")
def test_delete_with_yes(result: Callable[..., Any]) -> None:
    assert result("study", "delete", "digits", "--yes") == {"study": "digits", "trials_deleted": 2}


def test_who_does_not_confirm_a_deletion_deletes_nothing_and_that_is_no_failure(
    server: Server, monkeypatch: pytest.MonkeyPatch, text: Callable[..., str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert text("study", "delete", "digits") == "Nothing deleted.\n"
    assert server.requests == [study_pb2.GetStudyRequest(name="digits")]


def test_a_study_is_exported_as_it_comes(
    text: Callable[..., str], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = '{"hippo_study":1,"name":"digits"}\n'
    assert text("study", "export", "digits") == document
    assert server.requests == [study_pb2.ExportStudyRequest(name="digits")]
    file = tmp_path / "digits.json"
    assert text("study", "export", "digits", "--output", str(file)) == ""
    assert file.read_text() == document
    assert call(["study", "export", "digits", "--output", str(tmp_path / "nowhere" / "x")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_the_stage_tree_as_text_json_and_svg(text: Callable[..., str], result: Callable[..., Any]) -> None:
    assert "lr=0.005" in text("study", "tree", "digits")
    assert text("study", "tree", "digits", "--svg").lstrip().startswith("<svg")
    nodes = result("study", "tree", "digits")
    assert [(node["node"], node["parent"], node["trials"]) for node in nodes] == [
        (7, None, [0, 3]),
        (8, 7, [3]),
    ]


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
def test_trial_best(result: Callable[..., Any]) -> None:
    assert result("trial", "best", "digits")["trial"] == 3


def two_objectives(server: Server, front: int, others: int = 1) -> None:
    """A study of an accuracy and a loss, whose first trials are its front."""
    trials = []
    for number in range(front + others):
        each = trial(number, "completed", 27, 0.9 - 0.01 * number, {"lr": 0.1 + number})
        each.metrics.add(name="loss", value=2.0 - 0.1 * number)
        trials.append(each)
    study = snapshot(trials, front=range(front), state=study_pb2.STUDY_STATE_COMPLETED).study
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=study)
    server.answers["ListStudies"] = study_pb2.ListStudiesResponse(studies=[study])


def test_with_several_objectives_the_front_is_shown(server: Server, text: Callable[..., str]) -> None:
    two_objectives(server, front=3)
    lines = text("study", "show", "digits").splitlines()
    start = lines.index(
        "Best: 3 trials in the Pareto front of accuracy and loss; `hippo trial best digits` shows all of them"
    )
    assert lines[start + 1 : start + 5] == [
        "  trial 0 at step 27  accuracy 0.9   loss 2",
        "  trial 1 at step 27  accuracy 0.89  loss 1.9",
        "  trial 2 at step 27  accuracy 0.88  loss 1.8",
        "",
    ]
    assert text("study", "ls").splitlines()[1].split()[3:7] == ["3", "in", "the", "front"]
    rows = [line.split() for line in text("trial", "best", "digits").splitlines()]
    assert rows[0] == ["TRIAL", "STATE", "STEP", "accuracy", "loss", "lr"]
    assert [(row[0], row[3], row[4], row[5]) for row in rows[1:]] == [
        ("0", "0.9", "2.0", "0.1"),
        ("1", "0.89", "1.9", "1.1"),
        ("2", "0.88", "1.8", "2.1"),
    ]


def test_with_several_objectives_json_has_the_front(server: Server, result: Callable[..., Any]) -> None:
    two_objectives(server, front=2)
    shown = result("study", "show", "digits")
    assert shown["best"] == shown["best_trials"][0]
    assert [each["metrics"] for each in shown["best_trials"]] == [
        {"accuracy": 0.9, "loss": 2.0},
        {"accuracy": 0.89, "loss": 1.9},
    ]
    front = result("trial", "best", "digits")["best_trials"]
    assert [(each["trial"], each["state"]) for each in front] == [(0, "completed"), (1, "completed")]
    assert [each["metrics"] for each in front] == [each["metrics"] for each in shown["best_trials"]]


def test_of_a_large_front_some_are_shown(server: Server, text: Callable[..., str]) -> None:
    two_objectives(server, front=14)
    lines = text("study", "show", "digits").splitlines()
    assert sum(line.startswith("  trial ") for line in lines) == 10
    assert "  and 4 more" in lines


def test_of_several_objectives_that_nobody_has_yet_there_is_no_front(
    server: Server, text: Callable[..., str]
) -> None:
    two_objectives(server, front=0)
    assert text("study", "ls").splitlines()[1].split()[3] == "-"
    assert "Best" not in text("study", "show", "digits")
    assert call(["trial", "best", "digits"]) == 5


def test_no_best_trial_is_not_found(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=snapshot([OTHER]).study)
    assert call(["trial", "best", "digits", "--json"]) == 5
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("server")
def test_trial_logs(capsys: pytest.CaptureFixture[str], result: Callable[..., Any]) -> None:
    assert call(["trial", "logs", "digits", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "epoch 0\nepoch 1\n"
    assert err == "--- node 7, lease 1\n"
    assert [piece["text"] for piece in result("trial", "logs", "digits", "3")] == ["epoch 0\n", "epoch 1\n"]


@pytest.mark.usefixtures("server")
def test_worker_ls_and_drain(
    text: Callable[..., str],
    result: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (shown,) = result("worker", "ls")
    assert (shown["worker"], shown["state"], shown["slots"][1]["study"]) == ("w", "live", None)
    assert text("worker").splitlines() == [
        "WORKER  HOST  STATE  SLOT  DEVICE  DOES",
        "w       h     live      0  EPYC    digits at step 9",
        "w       h     live      1  EPYC    idle",
    ]
    assert result("worker", "drain", "w")["worker"] == "w"
    for elsewhere, again in ((True, "`hippo-worker`"), (False, "`hippo run STUDY.py` or `hippo up`")):
        monkeypatch.setattr(worker_commands, "is_elsewhere", lambda home, answer=elsewhere: answer)
        assert call(["worker", "drain", "w"]) == 0
        assert capsys.readouterr().err == f"It saves what it trains and leaves; {again} starts it again.\n"


def test_a_study_that_does_not_exist(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["GetStudy"] = NotFound("There is no study x.", "Did you mean digits?")
    assert call(["study", "show", "x"]) == 5
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: There is no study x.\nHint: Did you mean digits?\n")
