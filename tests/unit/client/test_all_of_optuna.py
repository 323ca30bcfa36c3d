"""What Optuna offers for a study works on studies of Hippo's of several kinds, and shows what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from hippo_client import schedules, space
from hippo_client.optuna_study import convert
from hippo_core.objective import Objective
from hippo_core.simulation import Recording
from tests.unit.client import recorded
from tests.unit.client.test_optuna_study import recording

optuna = pytest.importorskip("optuna")
pytest.importorskip("plotly")
pytest.importorskip("sklearn")
pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ACCURACY = Objective(metric="accuracy", maximize=True)
LOSS = Objective(metric="loss", maximize=False)
GRID = {"lr": space.choice([0.1, 0.2, schedules.cosine(0.1, 0.0, 4)]), "width": space.choice([8, 16, 32, 64])}
CONDITIONAL = {
    "lr": space.loguniform(1e-4, 1e-1),
    "optimizer": space.choice([{"momentum": space.uniform(0.5, 0.99)}, {"name": "adam"}]),
    "decay": schedules.piecewise([0.1, space.uniform(0.0, 0.1)], [3]),
}
KINDS: dict[str, dict[str, Any]] = {
    "finite grid": recording(["completed"] * 6, searched=GRID),
    "stopped early": recording(
        ["completed"] * 3 + ["stopped"] * 4 + ["failed", "diverged", "waiting"], searched=GRID
    ),
    "conditional": recording(["completed"] * 8, searched=CONDITIONAL),
    "two objectives": recording(["completed"] * 5 + ["stopped"], (ACCURACY, LOSS), searched=GRID),
    "forked by a user": recorded.document(),
    "one trial": recording(["completed"], searched=GRID),
    "empty": recorded.empty(),
}
#: What asks for a target where there are several objectives.
OF_A_TARGET = (
    "optimization_history",
    "parallel_coordinate",
    "contour",
    "slice",
    "edf",
    "rank",
    "param_importances",
)


def converted(kind: str) -> Any:
    return convert(Recording.from_json(KINDS[kind]))


def visualized(name: str, study: Any) -> Any:
    several = len(study.directions) > 1
    options: dict[str, Any] = {}
    if name == "pareto_front" and not several:
        options = {"targets": lambda trial: (trial.value, trial.user_attrs["hippo_metrics"]["loss"])}
        options["target_names"] = ["accuracy", "loss"]
    elif name == "hypervolume_history":
        options = {"reference_point": [-10.0, 10.0]}
    elif name in OF_A_TARGET and several:
        options = {"target": lambda trial: trial.values[1], "target_name": "loss"}
    return getattr(optuna.visualization, f"plot_{name}")(study, **options)


ALL = [
    name.removeprefix("plot_")
    for name in optuna.visualization.__all__
    # Its error estimate is of a Gaussian process in torch, and asks for 20 trials.
    if name.startswith("plot_") and name != "plot_terminator_improvement"
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_plot_of_optuna_s_is_drawn(kind: str) -> None:
    study = converted(kind)
    several = len(study.directions) > 1
    assert len(ALL) >= 11
    for name in ALL:
        if name in (("intermediate_values",) if several else ("hypervolume_history",)):
            continue
        if name == "param_importances" and sum(each.state.name == "COMPLETE" for each in study.trials) == 1:
            with pytest.raises(ValueError, match="only a single trial"):
                visualized(name, study)
            continue
        assert visualized(name, study).to_json(), name


def test_the_figures_show_the_trials() -> None:
    study = converted("stopped early")
    history = visualized("optimization_history", study)
    assert (list(history.data[0].x), list(history.data[0].y)) == ([0, 1, 2], [0.4, 1.4, 2.4])
    assert list(history.data[1].y)[:3] == [0.4, 1.4, 2.4], "the best so far"
    curves = {each.name: list(each.y) for each in visualized("intermediate_values", study).data}
    assert curves == {
        **{f"Trial{number}": [number + step / 10 for step in (1, 2, 3, 4)] for number in range(3)},
        **{f"Trial{number}": [number + step / 10 for step in (1, 2)] for number in range(3, 7)},
    }
    shown = {
        (x.strip("'"), y)
        for each in visualized("slice", study).data
        for x, y in zip(each.x, each.y, strict=True)
    }
    assert shown == {
        (str(trial.params[name]), trial.value) for trial in study.trials[:3] for name in ("lr", "width")
    }
    states = {each.name: len(each.y) for each in visualized("timeline", study).data}
    assert states == {"COMPLETE": 3, "PRUNED": 4, "FAIL": 2, "WAITING": 1}
    share = visualized("edf", study).data[0]
    assert (share.y[0], share.y[-1]) == (pytest.approx(1 / 3), 1.0)


def test_the_front_is_that_of_both_objectives() -> None:
    study = converted("two objectives")
    figure = visualized("pareto_front", study)
    # Accuracy rises and loss falls with the number: the last one beats all.
    behind, front = figure.data
    assert (len(behind.x), list(front.x), list(front.y)) == (4, [4.4], [-4.4])
    assert [trial.number for trial in study.best_trials] == [4]


@pytest.mark.parametrize("evaluator", ["FanovaImportanceEvaluator", "PedAnovaImportanceEvaluator"])
def test_importances_are_of_the_parameters_that_all_trials_have(evaluator: str) -> None:
    make = getattr(optuna.importance, evaluator)
    found = optuna.importance.get_param_importances(converted("conditional"), evaluator=make())
    assert set(found) == {"lr", "optimizer", "decay/values/1"}
    assert sum(found.values()) == pytest.approx(1.0)
