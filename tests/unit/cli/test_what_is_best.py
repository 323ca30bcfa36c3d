"""What the commands tell of the best: means of repeats, what is feasible, fronts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from hippo_client.cli.main import call
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import BEST, OTHER, STUDY, Server
from tests.unit.cli.pictures import snapshot, trial


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
