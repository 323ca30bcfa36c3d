"""``hippo study``: what is there, and what becomes of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from hippo_client import plots, study_file
from hippo_client.cli.main import call
from hippo_core.errors import NotFound
from hippo_wire.v1 import study_pb2
from tests.unit.cli.answers import EDITABLE, SCHEDULE, STUDY, Server
from tests.unit.client import recorded


@pytest.mark.usefixtures("server")
def test_study_show_json_has_the_promised_shape(result: Callable[..., Any]) -> None:
    shown = result("study", "show", "digits")
    assert list(shown) == [
        "study", "state", "trials", "best", "best_trials", "savings", "hint", "policy", "sampler", "chosen", "reason",
        "over_budget", "ending", "endings", "changes",
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
def test_what_sharing_saved_is_told_alone(text: Callable[..., str], result: Callable[..., Any]) -> None:
    assert text("study", "savings", "digits").splitlines() == text("study", "show", "digits").splitlines()[6:]
    shown = result("study", "show", "digits")["savings"]
    assert result("study", "savings", "digits") == {"study": "digits", "savings": shown}


@pytest.mark.usefixtures("server")
def test_names_alone_are_for_scripts(text: Callable[..., str]) -> None:
    assert text("study", "ls", "--quiet") == text("study", "-q") == "digits\n"
    assert text("trial", "ls", "digits", "-q") == "0\n3\n"
    assert text("worker", "ls", "-q") == "w\n"


@pytest.mark.usefixtures("server")
def test_a_noun_alone_lists(text: Callable[..., str]) -> None:
    assert text("study") == text("study", "ls")
    assert text("study").splitlines() == [
        "STUDY   STATE      COMPLETED  BEST             STEPS  SAVED",
        "digits  completed        1/2  accuracy 0.9722    101    62%",
    ]


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


@pytest.mark.usefixtures("server")
def test_delete_with_yes(result: Callable[..., Any]) -> None:
    assert result("study", "delete", "digits", "--yes") == {"study": "digits", "trials_deleted": 2}


def test_who_does_not_confirm_a_deletion_deletes_nothing_and_that_is_no_failure(
    server: Server, monkeypatch: pytest.MonkeyPatch, text: Callable[..., str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert text("study", "delete", "digits") == "Nothing deleted.\n"
    assert server.requests == [study_pb2.GetStudyRequest(name="digits"), study_pb2.ListProgramsRequest()]


@pytest.mark.parametrize(
    ("studies", "going"),
    [(["digits"], "2 trials and 3.0 KiB of checkpoints"), (["digits", "more"], "2 trials")],
)
def test_a_deletion_where_nobody_can_be_asked_says_what_would_go_and_does_nothing(
    server: Server, capsys: pytest.CaptureFixture[str], studies: list[str], going: str
) -> None:
    """Checkpoints go with the last study of their program."""
    known = study_pb2.KnownProgram(key="ab", studies=studies, checkpoint_bytes=3072)
    server.answers["ListPrograms"] = study_pb2.ListProgramsResponse(programs=[known])
    assert call(["study", "delete", "digits"]) == 2
    assert f"Deleting digits with {going} needs --yes where nobody can be asked." in capsys.readouterr().err
    assert server.requests == [study_pb2.GetStudyRequest(name="digits"), study_pb2.ListProgramsRequest()]


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


def test_a_study_is_exported_in_the_formats_of_others(
    text: Callable[..., str], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.dumps(recorded.document()).encode()
    server.answers["ExportStudy"] = [study_pb2.ExportStudyResponse(data=data)]
    trials = text("study", "export", "shared", "--format", "csv")
    assert trials.splitlines()[0].startswith(
        "number,value,datetime_start,datetime_complete,duration,params_lr,"
    )
    plain = text("study", "export", "shared", "--format", "csv", "--style", "plain")
    assert plain.splitlines()[0] == "trial,state,step,accuracy,loss,lr,width"
    history = text("study", "export", "shared", "--format", "csv", "--table", "history")
    assert history.splitlines()[1] == "0,1,accuracy,0.1,2026-01-02 03:04:16.500000+00:00"
    (tmp_path / "file").touch()
    for layout, name in (("parquet", "x.parquet"), ("optuna", "x.db"), ("tensorboard", "runs")):
        assert call(["study", "export", "shared", "--format", layout]) == 2
        assert f"--format {layout} needs --output" in capsys.readouterr().err
        assert text("study", "export", "shared", "--format", layout, "-o", str(tmp_path / name)) == ""
        assert (tmp_path / name).exists()
        assert call(["study", "export", "shared", "--format", layout, "-o", f"{tmp_path}/file/x"]) == 1
        assert "Not a directory" in capsys.readouterr().err
    assert call(["study", "export", "shared", "--table", "history"]) == 2
    assert (
        call(["study", "export", "shared", "--format", "csv", "--table", "history", "--style", "plain"]) == 2
    )


def test_a_study_is_drawn_into_a_file(
    text: Callable[..., str], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    data = json.dumps(recorded.document()).encode()
    server.answers["ExportStudy"] = [study_pb2.ExportStudyResponse(data=data)]
    listed = text("study", "plot", "shared").splitlines()
    assert [line.split()[0] for line in listed] == plots.__all__
    file = tmp_path / "curves.svg"
    assert (
        text("study", "plot", "shared", "curves", "-o", str(file), "--metric", "loss", "--trial", "1") == ""
    )
    assert "shared: loss by step" in file.read_text()
    front = tmp_path / "front.svg"
    two = ("--metric", "loss", "--metric", "accuracy")
    assert text("study", "plot", "shared", "pareto_front", "-o", str(front), *two) == ""
    drawn = front.read_text()
    assert "less loss is taken to be better, as the study does not say" in drawn
    assert "accuracy (higher is better)" in drawn
    for arguments, told in (
        (["curves"], "--output must be a file that ends in .png, .svg, .pdf, .html."),
        (["curves", "-o", "x.gif"], "--output must be a file"),
        (["savings", "-o", "x.png", "--metric", "loss"], "The plot savings has no --metric."),
        (["pie", "-o", "x.png"], "there is no plot 'pie'"),
        (["pareto", "-o", "x.png"], "Did you mean 'pareto_front'?"),
        (["pareto_front", "-o", "x.png"], "--metric twice"),
        (["pareto_front", "-o", "x.png", "--metric", "loss"], "is of two metrics: give --metric twice."),
        (["curves", "-o", "x.png", "--metric", "loss", "--metric", "accuracy"], "give --metric once."),
        (["curves", "-o", "x.png", "--metric", "acuracy"], "Did you mean 'accuracy'?"),
    ):
        assert call(["study", "plot", "shared", *arguments]) == 2
        assert told in capsys.readouterr().err
    assert call(["study", "plot", "shared", "curves", "-o", str(tmp_path / "nowhere" / "x.png")]) == 1
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


def test_a_study_that_does_not_exist(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["GetStudy"] = NotFound("There is no study x.", "Did you mean digits?")
    assert call(["study", "show", "x"]) == 5
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: There is no study x.\nHint: Did you mean digits?\n")


def test_a_study_is_written_as_a_file_that_is_the_same_study(
    server: Server, text: Callable[..., str], tmp_path: Path
) -> None:
    server.answers["GetStudy"] = study_pb2.GetStudyResponse(study=EDITABLE)
    path = tmp_path / "again.yaml"
    path.write_text(text("study", "export", "digits", "--format", "yaml"))
    again, there = study_file.load(path)._spec.to_json(), json.loads(EDITABLE.spec_json)
    for each in (again, there):  # of the code that is not there
        each["bundle"] = each["program"]["code_digest"] = ""
    assert again == there
