"""``hippo simulate``: a study file in, figures and a chart out; no server, no trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hippo_client.cli.main import call
from hippo_client.cli.simulate import _print_best
from hippo_core import schedules, space
from hippo_core.simulation import Host, simulate
from tests.studies import study
from tests.unit.cli.records import document

STUDY = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:Missing",
    {
        "lr": space.choice([schedules.piecewise([0.1, 0.01], [3]), schedules.piecewise([0.1, 0.02], [6])]),
        "momentum": space.choice([0.9, schedules.piecewise([0.9, 0.95], [6])]),
    },
    maximize="accuracy",
    max_steps=9,
)
"""
SHARED = 3 + 2 * 3 + 4 * 3  # all to step 3, by learning rate to step 6, and from there each trial alone


@pytest.fixture
def study_file(tmp_path: Path) -> str:
    file = tmp_path / "study.py"
    file.write_text(STUDY)
    return str(file)


def simulated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert call(["simulate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_one_slot_trains_all_the_time(study_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, study_file, "--slots", "1")
    assert found["steps_trained"] == SHARED
    assert found["steps_trained"] == found["makespan_seconds"] == found["lower_bound_seconds"]
    assert found["steps_without_sharing"] == 4 * 9
    assert found["trials"] == 4
    assert found["studies"][0]["trials"] == {"completed": 4}
    assert set(found["slot_seconds"]) == {
        "training", "evaluation", "save", "load", "setup", "idle", "lost",
    }  # fmt: skip


def test_every_cost_is_counted(study_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    costs = {"step": 2.0, "evaluate": 0.5, "save": 0.25, "load": 0.125, "setup": 7.0}
    options = [part for name, cost in costs.items() for part in (f"--{name}-seconds", str(cost))]
    plain = simulated(capsys, study_file, "--slots", "2")
    found = simulated(capsys, study_file, "--slots", "2", *options)
    spent, steps = found["slot_seconds"], plain["steps_trained"]
    assert spent["training"] == steps * 2.0
    assert spent["evaluation"] == steps * 0.5
    assert spent["setup"] == 2 * 7.0
    assert spent["save"] % 0.25 == 0
    assert spent["load"] % 0.125 == 0
    assert min(spent["save"], spent["load"]) > 0
    assert sum(spent.values()) == pytest.approx(2 * found["makespan_seconds"])


def test_what_a_budget_for_checkpoints_costs_is_seen_once_they_have_a_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trials rest at rungs, and their states go where there is no room for all: promoted later, they begin anew."""
    file = tmp_path / "budget.py"
    file.write_text(
        """
import hippo_client as hippo
from hippo_client import policies, samplers, space

study = hippo.Study(
    "trainer:Missing", {"lr": space.uniform(0.0, 1.0)}, maximize="accuracy", max_trials=27, max_steps=9,
    sampler=samplers.random(), policy=policies.asha(min_steps=1, reduction_factor=3), checkpoint_budget="10GiB",
)
"""
    )
    small, large = (
        simulated(capsys, str(file), "--slots", "2", "--checkpoint-bytes", size) for size in ("1MiB", "4GiB")
    )
    assert small["steps_retrained"] == 0
    assert large["steps_retrained"] > 0
    assert call(["simulate", str(file), "--slots", "2", "--checkpoint-bytes", "4GiB"]) == 0
    again = next(line for line in capsys.readouterr().out.splitlines() if "steps trained again" in line)
    assert again.split()[-1] == str(large["steps_retrained"])
    assert call(["simulate", str(file), "--slots", "2", "--checkpoint-bytes", "large"]) == 2


def test_trial_based_execution_is_shown_beside_it(
    study_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = simulated(capsys, study_file, "--slots", "1", "--trial-based")
    assert found["trial_based"]["steps_trained"] == 4 * 9
    assert found["trial_based_over_hippo"]["steps"] == 4 * 9 / found["steps_trained"]
    assert call(["simulate", study_file, "--slots", "1", "--trial-based"]) == 0
    out = capsys.readouterr().out
    assert "TRIAL-BASED" in out
    assert "study: completed, 4 completed" in out


def test_equal_seeds_give_equal_figures_and_others_other_ones(
    study_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptive = tmp_path / "adaptive.py"
    policy = "max_steps=9, policy=hippo.policies.asha(min_steps=1, reduction_factor=2)"
    adaptive.write_text(STUDY.replace("max_steps=9", policy))
    found = [simulated(capsys, str(adaptive), "--slots", "2", "--seed", seed) for seed in ("1", "1", "2")]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_several_studies_are_submitted_together(
    study_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.py"
    other.write_text(STUDY)
    one = simulated(capsys, study_file, "--slots", "2")
    both = simulated(capsys, study_file, str(other), "--slots", "2")
    assert both["steps_trained"] == one["steps_trained"]
    assert both["steps_without_sharing"] == 2 * one["steps_without_sharing"]
    assert [study["study"] for study in both["studies"]] == ["study", "other"]


def test_the_chart_has_a_row_for_each_slot_and_a_bar_for_each_stage(
    study_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = tmp_path / "chart.svg"
    found = simulated(capsys, study_file, "--slots", "2", "--setup-seconds", "3", "--gantt", str(chart))
    drawn = ElementTree.fromstring(chart.read_text())
    titles = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert f"{found['steps_trained']} steps on 2 slots" in titles[0]
    trained = [text for text in titles if text.startswith("training")]
    steps = [text.rpartition("steps ")[2].partition(",")[0].split(" to ") for text in trained]
    assert sum(int(stop) - int(start) for start, stop in steps) == found["steps_trained"]
    assert any(text.endswith("for 4 trials") for text in trained)
    assert sum(text.startswith("setup 3 s") for text in titles) == 2
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"slot/0", "slot/1"} <= set(words)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--slots'"),
        (["--slots", "0"], "--slots"),
        (["--slots", "100001"], "must be a whole number from 1 to 100000, not '100001'"),
        (
            ["--slots", "1", "--load-seconds", "nan"],
            "'--load-seconds': must be a number of at least 0, not 'nan'",
        ),
        (["--slots", "1", "--step-seconds", "0"], "--step-seconds"),
        (["--slots", "1", "--load-seconds", "-1"], "--load-seconds"),
    ],
)
def test_what_cannot_be_simulated_is_a_usage_error(
    study_file: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["simulate", study_file, *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A study of three learning rates, the last one trained to step 2 only, a step in 2 s."""
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps(document()))
    return file


RECORDED = """
import hippo_client as hippo
from hippo_client import policies, space

study = hippo.Study(
    "trainer:Missing", {"lr": space.choice([0.1, 0.2, 0.3])}, maximize="accuracy", max_steps=MAX_STEPS,
    policy=policies.sha(min_steps=1, reduction_factor=3),
)
"""


def test_another_policy_is_tried_out_on_a_record(
    record: Path, study_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(study_file).write_text(RECORDED.replace("MAX_STEPS", "2"))
    found = simulated(capsys, study_file, "--slots", "1", "--recorded", str(record))
    assert found["steps_trained"] == 3 + 1
    assert found["slot_seconds"]["training"] == 4 * 2.0
    assert found["slot_seconds"]["evaluation"] == 4 * 0.5
    assert found["made_up"] == {"trials": 0, "steps": 0}
    best = found["studies"][0]["best"]
    assert (best["trial"], best["step"], best["value"], best["hyperparameters"]) == (2, 2, 0.6, {"lr": 0.3})
    assert [each["trial"] for each in found["studies"][0]["leaderboard"]] == [2, 1, 0]
    given = simulated(
        capsys,
        study_file,
        "--slots",
        "1",
        "--recorded",
        str(record),
        "--step-seconds",
        "1",
        "--evaluate-seconds",
        "0",
    )
    assert given["makespan_seconds"] == 4
    assert call(["simulate", study_file, "--slots", "1", "--recorded", str(record)]) == 0
    printed = capsys.readouterr()
    assert "Best: trial 2, 0.6 at step 2: lr=0.3" in printed.out
    assert "Made up" not in printed.out
    assert "study trains another program than" in printed.err
    assert "(trainer, code_digest)" in printed.err


def test_beyond_a_record_is_an_error_or_made_up(
    record: Path, study_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(study_file).write_text(RECORDED.replace("MAX_STEPS", "4"))
    arguments = ["simulate", study_file, "--slots", "1", "--recorded", str(record)]
    assert call(arguments) == 2
    error = capsys.readouterr().err
    assert "no metrics are recorded for step 2 under {'lr': 0.3}" in error
    assert "--beyond power-law" in error
    assert call([*arguments, "--beyond", "power-law"]) == 0
    printed = capsys.readouterr().out
    assert "at step 4 (the last 2 steps made up): lr=0.3" in printed
    assert "Made up: 2 steps of 1 trial, beyond the record." in printed


def test_a_metric_that_is_not_recorded_is_a_usage_error(
    record: Path, study_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(study_file).write_text(RECORDED.replace("MAX_STEPS", "2").replace('"accuracy"', '"score"'))
    assert call(["simulate", study_file, "--slots", "1", "--recorded", str(record)]) == 2
    error = capsys.readouterr().err
    assert "maximize: 'score' of the study 'study' is not recorded" in error
    assert "Known are: accuracy." in error


def test_without_a_study_file_the_recorded_study_is_simulated(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = simulated(
        capsys, "--slots", "3", "--recorded", str(record), "--beyond", "power-law", "--trial-based"
    )
    assert found["makespan_seconds"] == 4 * 2.5
    assert found["trial_based"]["studies"][0]["study"] == "recorded"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to simulate: give a STUDY.py, or --recorded."),
        (["study.py", "--beyond", "power-law"], "--beyond is about what was not recorded"),
        (["--recorded", "nowhere.json"], "recorded: nowhere.json cannot be read: No such file or directory"),
    ],
)
def test_a_record_that_is_not_there_is_a_usage_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["simulate", "--slots", "1", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_chart_that_cannot_be_written_is_said(
    study_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere" / "chart.svg"
    assert call(["simulate", study_file, "--slots", "1", "--gantt", str(nowhere)]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_of_several_objectives_all_are_told_and_the_front(
    record: Path, study_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """1. Trials 0 and 1 are each the better one in an objective, trial 2 is worse than trial 1 in both."""
    content = json.loads(record.read_text())
    content["spec"]["max_steps"] = 2
    content["spec"]["objectives"].append({"metric": "loss", "maximize": False})
    for trial, accuracy, loss in zip(content["trials"], (0.5, 0.8, 0.7), (1.0, 2.0, 3.0), strict=True):
        for each in trial["history"]:
            each["metrics"] = {"accuracy": accuracy, "loss": loss}
    record.write_text(json.dumps(content))
    [found] = simulated(capsys, "--slots", "1", "--recorded", str(record))["studies"]
    assert [(each["trial"], each["metrics"]) for each in found["best_trials"]] == [
        (1, {"accuracy": 0.8, "loss": 2.0}),
        (0, {"accuracy": 0.5, "loss": 1.0}),
    ]
    assert found["best"] == found["best_trials"][0]
    assert {each["trial"]: each["metrics"]["loss"] for each in found["leaderboard"]} == {
        0: 1.0,
        1: 2.0,
        2: 3.0,
    }
    assert call(["simulate", "--slots", "1", "--recorded", str(record)]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Best: ")]
    assert [line.split(" at step ")[0] for line in told] == [
        "Best: trial 1, accuracy 0.8, loss 2",
        "Best: trial 0, accuracy 0.5, loss 1",
    ]


def test_of_several_horizons_the_best_of_each_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    rate = schedules.wsd(peak=space.loguniform(1e-3, 1.0), warmup=1, decay=1)
    spec = study({"lr": rate}, horizons=(3, 6), max_steps=6, max_trials=8)
    (found,) = simulate([spec], [Host(name="a", slots=1)]).studies
    assert set(found.best_by_horizon) == {3, 6}
    by_number = {trial.trial: trial for trial in found.leaderboard}
    for horizon, number in found.best_by_horizon.items():
        values = [each.value for each in found.leaderboard if each.step == horizon and each.value is not None]
        assert by_number[number].step == horizon
        assert by_number[number].value == max(values)
    _print_best(found, {})
    told = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == ["Best at horizon 3", "Best at horizon 6"]
