"""A study as Optuna's: parameters, values and states, and what Optuna itself makes of them."""

import math
import sys

import pytest

from hippo_client import schedules, space
from hippo_client.errors import Conflict, HippoError
from hippo_client.optuna_study import convert
from hippo_core.objective import Objective
from hippo_core.optuna_words import labels
from hippo_core.simulation import Recording
from tests.studies import study

optuna = pytest.importorskip("optuna")
State = optuna.trial.TrialState
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE = {
    "lr": space.loguniform(1e-4, 1e-1),
    "width": space.integer(8, 64),
    "dropout": space.quniform(0.1, 0.5, 0.1),
    "decay": space.choice([0.1, schedules.piecewise([0.1, space.uniform(0.0, 0.1)], [3]), None]),
    "optimizer": space.choice([{"momentum": space.uniform(0.5, 0.99)}, {"name": "adam"}]),
}
ACCURACY = Objective(metric="accuracy", maximize=True)
LOSS = Objective(metric="loss", maximize=False)


def recording(states, objectives=(ACCURACY,), searched=SPACE, steps=4):
    """A study whose trial n is in the nth state; its accuracy at step s is n + s / 10, its loss minus that."""
    spec = study(searched, objectives=objectives, max_trials=len(states), max_steps=steps)
    trials = []
    for number, state in enumerate(states):
        reached = {"completed": steps, "waiting": 0}.get(state, 2)
        history = [
            {
                "step": step,
                "metrics": {"accuracy": number + step / 10, "loss": -number - step / 10, "size": 5.0},
            }
            for step in range(1, reached + 1)
        ]
        if state == "diverged":
            history[-1]["metrics"]["accuracy"] = None
        trials.append(
            {
                "trial": number, "state": state, "reason": f"because of {number}", "step": reached,
                "max_steps": steps, "hyperparameters": spec.hyperparameters(spec.point(number)),
                "assignment": dict(spec.point(number)), "fork": None, "notes": {},
                "by_user": False, "history": history, "path": [], "checkpoints": [], "probes": [],
            }
        )  # fmt: skip
    arrivals = [
        {
            "trial": n,
            "probe": 0,
            "step": 1,
            "state": "reached",
            "reached": 1,
            "by_user": False,
            "breath": n,
            "seconds": 60.0 * n,
        }
        for n in range(len(states))
    ]
    return {
        "hippo_study": 1, "name": "recorded", "state": "running", "reason": "", "ending": "", "changes": 0,
        "spec": spec.to_json(),
        "environment": "", "created": "2026-01-02T03:04:05+00:00", "save_seconds": None, "start_seconds": None,
        "steps_trained": 0, "steps_without_sharing": 0,
        "trials": trials, "training": [], "leases": [], "creations": [],
        "arrivals": arrivals,
    }  # fmt: skip


def converted(states, objectives=(ACCURACY,), **options):
    return convert(Recording.from_json(recording(states, objectives)), **options)


def test_what_constraints_come_to_is_where_optuna_looks_for_it():
    """The best of three by accuracy violates a constraint: Optuna's best is the second one."""
    content = recording(["completed"] * 3)
    content["spec"]["constraints"] = ["accuracy <= 2", "size <= 10"]
    found = convert(Recording.from_json(content))
    assert [trial.system_attrs["constraints"] for trial in found.trials] == [
        [pytest.approx((number + 0.4 - 2) / 2), -0.5] for number in range(3)
    ]
    assert found.best_trial.number == 1


def test_states_values_and_evaluations():
    found = converted(["completed", "stopped", "failed", "diverged", "waiting", "paused"])
    assert [trial.state for trial in found.trials] == [
        State.COMPLETE, State.PRUNED, State.FAIL, State.FAIL, State.WAITING, State.RUNNING,
    ]  # fmt: skip
    assert [trial.values for trial in found.trials] == [[0.4], [1.2], None, None, None, None]
    assert found.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
    assert found.trials[1].intermediate_values == {1: 1.1, 2: 1.2}
    assert math.isnan(found.trials[3].intermediate_values[2])
    assert found.trials[4].intermediate_values == {}
    assert found.direction is optuna.study.StudyDirection.MAXIMIZE
    assert (found.study_name, found.best_trial.number, found.metric_names) == ("recorded", 0, ["accuracy"])
    assert found.trials[1].user_attrs == {
        "hippo_trial": 1,
        "hippo_state": "stopped",
        "hippo_reason": "because of 1",
        "hippo_steps": 2,
        "hippo_stage_path": [],
        "hippo_gpu_seconds": 0.0,
        "hippo_shared_gpu_seconds": 0.0,
        "hippo_checkpoint": None,
        "hippo_fork": None,
        "hippo_metrics": {"accuracy": 1.2, "loss": -1.2, "size": 5.0},
        "hippo_hyperparameters": recording(["waiting"] * 2)["trials"][1]["hyperparameters"],
    }
    assert (found.trials[1].datetime_complete - found.trials[1].datetime_start).seconds == 60
    assert found.trials[4].datetime_complete is None


def test_parameters_are_what_was_drawn():
    content = recording(["completed"] * 12)
    found = convert(Recording.from_json(content))
    choices = {
        "decay": (0.1, "piecewise([0.1, decay/1/values/1], milestones=[3])", None),
        "optimizer": ("{momentum: optimizer/0.momentum}", "{name: adam}"),
    }
    seen = set()
    for trial, recorded in zip(found.trials, content["trials"], strict=True):
        drawn = recorded["assignment"]
        assert trial.params.keys() == trial.distributions.keys() == drawn.keys()
        for name, value in drawn.items():
            assert trial.params[name] == (choices[name][value] if name in choices else value)
            assert trial.distributions[name]._contains(
                trial.distributions[name].to_internal_repr(trial.params[name])
            )
            seen.add(name)
    assert seen == {
        "lr", "width", "dropout", "decay", "decay/1/values/1", "optimizer", "optimizer/0.momentum",
    }  # fmt: skip
    distributions = {name: each for trial in found.trials for name, each in trial.distributions.items()}
    assert distributions["lr"] == optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    assert distributions["width"] == optuna.distributions.IntDistribution(8, 64)
    assert distributions["dropout"] == optuna.distributions.FloatDistribution(0.1, 0.5, step=0.1)
    assert distributions["decay"] == optuna.distributions.CategoricalDistribution(choices["decay"])


def test_several_objectives_have_their_front_and_no_evaluations():
    found = converted(["completed", "completed", "stopped"], (ACCURACY, LOSS))
    assert [trial.values for trial in found.trials] == [[0.4, -0.4], [1.4, -1.4], None]
    assert [trial.state for trial in found.trials] == [State.COMPLETE, State.COMPLETE, State.PRUNED]
    assert [trial.number for trial in found.best_trials] == [1]
    assert found.trials[0].intermediate_values == {}


def test_what_a_user_forked_is_left_out_and_the_others_keep_their_names():
    content = recording(["completed"] * 4)
    content["trials"][1].update(assignment=None, fork={"trial": 0, "at": 1}, by_user=True)
    content["trials"][3].update(fork={"trial": 2, "at": 1})
    found = convert(Recording.from_json(content))
    assert [trial.user_attrs["hippo_trial"] for trial in found.trials] == [0, 2, 3]
    assert found.trials[2].user_attrs["hippo_fork"] == {"trial": 2, "at": 1}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([0.1, 3, "a", None, True], [0.1, 3, "a", None, True]),
        ([1, True], ["1", "True"]),
        ([(1, 2), (1, 3)], ["[1, 2]", "[1, 3]"]),
        (["cosine(0.1, 0, period=9)", schedules.cosine(0.1, 0.0, 9)], None),
        ([schedules.table([0.1] * 9 + [0.2]), schedules.table([0.1] * 8 + [0.3, 0.2])], None),
    ],
)
def test_labels_differ_and_are_what_optuna_takes(options, expected):
    found = labels(options)
    assert expected is None or found == expected
    assert len(set(map(repr, found))) == len(options)
    assert all(one != other for place, one in enumerate(found) for other in found[:place])
    optuna.distributions.CategoricalDistribution(found)


def test_optuna_s_own_importances_and_plots_work():
    pytest.importorskip("sklearn")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as plots

    found = converted(["completed"] * 30 + ["stopped"] * 5 + ["failed", "waiting"])
    importances = optuna.importance.get_param_importances(found)
    assert set(importances) == {"lr", "width", "dropout", "decay", "optimizer"}
    assert sum(importances.values()) == pytest.approx(1.0)
    history = plots.plot_optimization_history(found)
    assert len(history.collections[0].get_offsets()) == 30
    curves = plots.plot_intermediate_values(found)
    assert len(curves.get_lines()) == 30 + 5
    for plot in (plots.plot_param_importances, plots.plot_slice):
        plot(found)
    matplotlib.pyplot.close("all")


def test_it_is_kept_where_it_is_said(tmp_path):
    place = f"sqlite:///{tmp_path / 'studies.db'}"
    converted(["completed", "stopped"], storage=place)
    again = optuna.load_study(study_name="recorded", storage=place)
    assert [trial.values for trial in again.trials] == [[0.4], [1.2]]
    with pytest.raises(Conflict, match="has a study 'recorded' already"):
        converted(["completed"], storage=place)
    converted(["completed"], storage=place, name="other")
    assert len(optuna.get_all_study_names(storage=place)) == 2


def test_without_optuna_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HippoError, match="needs Optuna") as caught:
        converted(["completed"])
    assert caught.value.hint == "pip install 'hippo-hpo[plots]'"


def test_a_study_of_optuna_s_learns_from_it():
    """Its trials are history for a sampler of Optuna's: one more is drawn from the same distributions."""
    searched = {"lr": space.uniform(0.0, 1.0), "kind": space.choice(["a", schedules.cosine(0.1, 0.0, 4)])}
    found = convert(Recording.from_json(recording(["completed"] * 12, searched=searched)))
    found.sampler = optuna.samplers.TPESampler(seed=0)
    asked = found.ask(dict(found.trials[0].distributions))
    assert asked.params.keys() == {"lr", "kind"}
    assert asked.number == 12
