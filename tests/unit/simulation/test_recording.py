"""What a recorded study is good for: its metrics, its times, its failures, and what is made up beyond."""

from __future__ import annotations

import csv
import math
from typing import Any

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.simulation import Costs, Host, Recording, simulate, table
from hippo_core.simulation.beyond import MARGIN
from hippo_core.study import StudySpec
from tests.studies import grid, study

STEPS = 6
HOSTS = [Host(name="host", slots=2)]
FORKED = schedules.piecewise([0.1, 0.01], [3])


def accuracy(values: list[dict[str, Any]]) -> float:
    """A metric that is a function of all values so far."""
    return 1.0 - math.prod(1.0 - float(each["lr"]) for each in values)


def spec(**changes: Any) -> StudySpec:
    return grid({"lr": space.choice([0.1, FORKED, 0.3])}, max_steps=STEPS, **changes)


def document(recorded: StudySpec, reached: dict[int, int], **changes: Any) -> Any:
    """A study whose trials reached some steps, each evaluated; node n is that of trial n, the fork's after node 0's."""
    trials = []
    for number, step in reached.items():
        point = recorded.point(number)
        values = [recorded.sequence(point).values(each) for each in range(STEPS)]
        forks = number == 1
        trials.append(
            {
                "trial": number,
                "state": "completed" if step == STEPS else "stopped",
                "reason": "",
                "step": step,
                "max_steps": STEPS,
                "hyperparameters": recorded.hyperparameters(point),
                "assignment": dict(point),
                "fork": None,
                "notes": {},
                "by_user": False,
                "history": [
                    {"step": each, "metrics": {"accuracy": accuracy(values[:each])}}
                    for each in range(1, step + 1)
                ],
                "path": [[0, 0, 3], [1, 3, step]] if forks else [[number, 0, step]],
                "checkpoints": [],
                "probes": [],
            }
        )
    return {
        "hippo_study": 1, "name": "recorded", "state": "completed", "reason": "", "ending": "", "changes": 0,
        "spec": recorded.to_json(),
        "environment": "", "created": "2026-01-02T03:04:05+00:00", "save_seconds": None, "start_seconds": None,
        "steps_trained": 0, "steps_without_sharing": 0,
        "trials": trials, "training": [], "leases": [], "creations": [], "arrivals": [], **changes,
    }  # fmt: skip


ALL = {0: STEPS, 1: STEPS, 2: STEPS}


def stretch(node: int, start: int, stop: int, train: float, evaluate: float) -> dict[str, Any]:
    return {
        "fence": 1,
        "node": node,
        "start": start,
        "stop": stop,
        "train_seconds": train,
        "evaluate_seconds": evaluate,
    }


def test_steps_take_what_they_took_under_the_same_values() -> None:
    """1. Steps at 0.1 took 2 s, at 0.01 4 s, at 0.3 8 s, an evaluation 0.5 s. 2. What was trained again later, and
    slower, does not count. 3. Under values that nobody trained a step takes the mean."""
    training = [
        stretch(0, 0, 6, 12.0, 3.0),
        stretch(1, 3, 6, 12.0, 1.5),
        stretch(2, 0, 4, 32.0, 2.0),
        stretch(2, 4, 6, 16.0, 1.0),
        stretch(0, 0, 6, 600.0, 3.0),
    ]
    seen = {"save_seconds": 0.125, "start_seconds": 3.0}
    recording = Recording.from_json(document(spec(), ALL, training=training, **seen))
    assert recording.costs().load_seconds == 3.0
    costs = recording.costs(load_seconds=0.25)
    assert callable(costs.step_seconds)
    assert [costs.step_seconds({"lr": rate}) for rate in (0.1, 0.01, 0.3)] == [2.0, 4.0, 8.0]
    assert costs.step_seconds({"lr": 0.7}) == pytest.approx((6 * 2 + 3 * 4 + 6 * 8) / 15)
    assert costs.evaluate_seconds == pytest.approx(0.5)
    assert (costs.load_seconds, costs.save_seconds, costs.setup_seconds) == (0.25, 0.125, 0.0)
    given = recording.costs(step_seconds=1.0, evaluate_seconds=0.0, save_seconds=0.0)
    assert given == Costs(step_seconds=1.0, evaluate_seconds=0.0, load_seconds=3.0)
    found = simulate([spec()], [Host(name="host", slots=1)], response=recording.metrics(), costs=costs)
    assert found.slot_seconds["training"] == pytest.approx(6 * 2 + 3 * 4 + 6 * 8)
    assert found.slot_seconds["evaluation"] == pytest.approx(15 * 0.5)


def test_without_times_they_have_to_be_given() -> None:
    recording = Recording.from_json(document(spec(), ALL))
    with pytest.raises(InvalidStudy, match="step_seconds: no step is recorded"):
        recording.costs()
    assert recording.costs(step_seconds=2.0) == Costs(step_seconds=2.0)


def test_another_policy_is_tried_out_on_what_was_recorded() -> None:
    recording = Recording.from_json(document(spec(), ALL))
    halving = spec(policy=policies.sha(min_steps=1, reduction_factor=3))
    found = simulate([halving], HOSTS, response=recording.metrics()).studies[0]
    assert [(trial.trial, trial.state, trial.step) for trial in found.leaderboard] == [
        (2, "completed", 6),
        (0, "stopped", 1),
        (1, "stopped", 1),
    ]
    assert found.leaderboard[0].value == found.best_value == accuracy([{"lr": 0.3}] * 6)
    assert found.leaderboard[0].hyperparameters == {"lr": 0.3}
    assert found.to_json()["leaderboard"][1]["reason"].startswith("not promoted beyond step 1: rank 2 of 3")


def test_beyond_the_record_is_an_error_that_names_it() -> None:
    recording = Recording.from_json(document(spec(), {0: 6, 1: 6, 2: 2}))
    with pytest.raises(InvalidStudy, match=r"for step 2 under \{'lr': 0.3\}"):
        simulate([spec()], HOSTS, response=recording.metrics())
    with pytest.raises(InvalidStudy, match="beyond: must be 'error' or 'power-law', not 'guess'"):
        recording.metrics("guess")  # type: ignore[arg-type]


@pytest.mark.parametrize("maximize", [True, False])
def test_beyond_the_record_curves_go_on_to_a_little_more_than_the_best(maximize: bool) -> None:
    """1. Trial 2 was recorded up to step 2. 2. It is where it was up to there, and then comes ever closer to the limit,
    from where it was. 3. What was recorded stays as it was."""
    from hippo_core.objective import Objective

    objectives = (Objective(metric="accuracy", maximize=maximize),)
    recording = Recording.from_json(document(spec(objectives=objectives), {0: 6, 1: 6, 2: 2}))
    values = [each for trial in recording.trials for m in trial.history.values() if (each := m["accuracy"])]
    best, worst = (max(values), min(values)) if maximize else (min(values), max(values))
    limit = best + MARGIN * (best - worst)
    response = recording.metrics("power-law", seed=3)
    model, curve = response.begin(0), []
    for step in range(40):
        model = response.train(model, step, {"lr": 0.3})
        curve.append(response.evaluate(model)["accuracy"])
    assert curve[:2] == [accuracy([{"lr": 0.3}] * 1), accuracy([{"lr": 0.3}] * 2)]
    gaps = [abs(limit - each) for each in curve[1:]]
    assert gaps == sorted(gaps, reverse=True)
    assert len(set(gaps)) == len(gaps)
    # A power law is a straight line in the logarithms.
    slopes = [math.log(gaps[n] / gaps[n + 1]) / math.log((n + 4) / (n + 3)) for n in range(len(gaps) - 1)]
    assert slopes == pytest.approx([slopes[0]] * len(slopes))
    assert response.recorded_steps([{"lr": 0.3}] * 9) == 2
    found = simulate([spec(objectives=objectives)], HOSTS, response=response).studies[0]
    by_number = {trial.trial: trial.value for trial in found.leaderboard}
    assert by_number[0] == accuracy([{"lr": 0.1}] * 6)
    assert by_number[2] == curve[5]


def test_a_trial_of_which_nothing_is_recorded_begins_with_the_worst() -> None:
    recording = Recording.from_json(document(spec(), {0: 6, 1: 6}))
    response = recording.metrics("power-law")
    first = response.evaluate(response.train(response.begin(0), 0, {"lr": 0.3}))["accuracy"]
    assert first > accuracy([{"lr": 0.1}])
    assert first < accuracy([{"lr": 0.1}] * 6)


def test_what_failed_fails_again_and_what_diverged_diverges() -> None:
    content = document(spec(), {0: 6, 1: 4, 2: 2})
    content["trials"][1].update(state="failed", reason="ValueError: too fast")
    content["trials"][2].update(state="diverged", reason="accuracy is not finite at step 2")
    content["trials"][2]["history"][1]["metrics"]["accuracy"] = None
    recording = Recording.from_json(content)
    found = simulate([spec()], HOSTS, response=recording.metrics(), checked=True)
    ended = {trial.trial: (trial.state, trial.step, trial.reason) for trial in found.studies[0].leaderboard}
    assert ended == {
        0: ("completed", 6, ""),
        1: ("failed", 4, "ValueError: too fast"),
        2: ("diverged", 2, "accuracy is not finite at step 2"),
    }
    assert found.slot_seconds["lost"] == 1.0  # the step that failed


def test_a_sampler_that_learns_proposes_what_it_proposed() -> None:
    """Random points, which stand in for it otherwise, are not those that were trained."""
    searched = {"lr": space.uniform(0.0, 1.0)}
    recorded = study(searched, sampler=samplers.tpe(), max_trials=3, max_steps=STEPS)
    content = document(recorded, {})
    for number, rate in enumerate((0.25, 0.5, 0.75)):
        content["trials"].append(
            {
                "trial": number, "state": "completed", "reason": "", "step": STEPS, "max_steps": STEPS,
                "hyperparameters": {"lr": rate}, "assignment": {"lr": rate}, "fork": None, "notes": {},
                "by_user": False, "path": [], "checkpoints": [], "probes": [],
                "history": [
                    {"step": each, "metrics": {"accuracy": accuracy([{"lr": rate}] * each)}}
                    for each in range(1, STEPS + 1)
                ],
            }
        )  # fmt: skip
    recording = Recording.from_json(content)
    found = simulate([recorded], HOSTS, response=recording.metrics(), proposals=recording.proposal)
    assert sorted(trial.hyperparameters["lr"] for trial in found.studies[0].leaderboard) == [0.25, 0.5, 0.75]
    other = study({"lr": space.uniform(0.0, 2.0)}, sampler=samplers.tpe(), max_trials=3, max_steps=STEPS)
    with pytest.raises(InvalidStudy, match="no metrics are recorded for step 0"):
        simulate([other], HOSTS, response=recording.metrics(), proposals=recording.proposal)


def test_another_program_is_told() -> None:
    recording = Recording.from_json(document(spec(), ALL))
    assert recording.differences(spec()) == ()
    changed = spec(program_changes={"seed": 1, "code_digest": "other"})
    assert recording.differences(changed) == ("code_digest", "seed")


@pytest.mark.parametrize("content", [None, [], {}, {"hippo_study": 2}, "study"])
def test_what_is_no_export_is_refused(content: Any) -> None:
    with pytest.raises(InvalidStudy, match="recorded: is no study that this version of Hippo has exported"):
        Recording.from_json(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("trials"),
        lambda content: content["trials"][0].pop("history"),
        lambda content: content["trials"][0].update(state="asleep"),
        lambda content: content["trials"][0].update(path=[[1, 2]]),
        lambda content: content.update(training=[{"node": 1}]),
        lambda content: content.update(arrivals=[7]),
    ],
)
def test_a_damaged_export_is_refused(change: Any) -> None:
    content = document(spec(), ALL)
    change(content)
    with pytest.raises(InvalidStudy, match="recorded: is damaged"):
        Recording.from_json(content)


def test_a_table_of_comma_separated_values_is_a_response() -> None:
    lines = ["trial,step,accuracy,loss"]
    lines += [
        f"{trial},{step},{trial + step / 10},{'' if step == 2 else 1}"
        for trial in range(3)
        for step in (2, 4)
    ]
    # Trials 0 and 1 are one up to step 3: what they have in common has one value.
    lines = [line.replace("1,2,1.2", "1,2,0.2") for line in lines]
    evaluated = grid(
        {"lr": space.choice([0.1, FORKED, 0.3])}, max_steps=4, program_changes={"evaluate_every": 2}
    )
    response = table(evaluated, csv.DictReader(lines))
    found = simulate([evaluated], HOSTS, response=response).studies[0]
    assert {trial.trial: trial.value for trial in found.leaderboard} == {0: 0.4, 1: 1.4, 2: 2.4}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"step": 1, "accuracy": 1}, r"rows\[0\].trial: must be a whole number, not None"),
        ({"trial": 0, "step": "x", "accuracy": 1}, r"rows\[0\].step: must be a whole number, not 'x'"),
        ({"trial": 0, "step": 0, "accuracy": 1}, r"rows\[0\]: step 0 is no state"),
        ({"trial": 3, "step": 1, "accuracy": 1}, r"rows\[0\]: the study has 3 trials, and none numbered 3"),
        ({"trial": 0, "step": 1, "accuracy": "high"}, r"rows\[0\].accuracy: must be a number, not 'high'"),
    ],
)
def test_a_row_that_says_nothing_is_named(row: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        table(spec(), [row])
