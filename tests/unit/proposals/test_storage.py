"""The storage of one proposal: a study is the same there as in Optuna's own, and shared trials stay as they are."""

from __future__ import annotations

import copy
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from hippo_server.proposals.storage import STUDY, WHENEVER, SharedTrials


def trial(number: int, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=1.0 if state.is_finished() else None,
        datetime_start=WHENEVER,
        datetime_complete=WHENEVER if state.is_finished() else None,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def told(each: FrozenTrial) -> Any:
    return each.number, each.state, each.values, each.params, each.intermediate_values, each.user_attrs


def searched(storage: Any) -> optuna.Study:
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=5)
    study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
    for number in range(20):
        asked = study.ask()
        x, n = asked.suggest_float("x", 0, 1), asked.suggest_int("n", 1, 9)
        asked.report(x, 1)
        asked.set_user_attr("number", number)
        if number % 7 == 5:
            study.tell(asked, state=TrialState.PRUNED)
        elif number % 7 != 3:
            study.tell(asked, x * n)
    study.set_user_attr("note", 1)
    return study


def test_a_search_is_the_same_as_in_the_storage_of_optuna() -> None:
    ours, theirs = searched(SharedTrials()), searched(InMemoryStorage())
    assert [told(each) for each in ours.trials] == [told(each) for each in theirs.trials]
    assert ours.best_trial.number == theirs.best_trial.number
    assert (ours.directions, ours.user_attrs) == (theirs.directions, theirs.user_attrs)
    states = (TrialState.RUNNING, TrialState.PRUNED)
    found = [[each.number for each in study.get_trials(states=states)] for study in (ours, theirs)]
    assert found[0] == found[1] != []


def test_what_changes_a_shared_trial_leaves_it_as_it_is_elsewhere() -> None:
    running = trial(0, TrialState.RUNNING)
    before = copy.deepcopy(running)
    storage = SharedTrials()
    storage.share(running)
    storage.set_trial_system_attr(0, "a", 1)
    storage.set_trial_user_attr(0, "b", 1)
    storage.set_trial_intermediate_value(0, 3, 0.5)
    storage.set_trial_param(0, "y", 0.25, FloatDistribution(0, 1))
    storage.set_trial_state_values(0, TrialState.COMPLETE, [2.0])
    assert running == before
    changed = storage.get_trial(0)
    assert (changed.system_attrs, changed.user_attrs, changed.intermediate_values) == (
        {"a": 1},
        {"b": 1},
        {3: 0.5},
    )
    assert (changed.params, changed.values) == ({"x": 0.5, "y": 0.25}, [2.0])


def test_whoever_asks_for_copies_may_change_them() -> None:
    storage = SharedTrials()
    storage.share(trial(0))
    storage.get_all_trials(STUDY)[0].params["x"] = 0.0
    assert storage.get_trial(0).params == {"x": 0.5}


def test_what_is_over_stays_and_what_is_not_there_is_said() -> None:
    storage = SharedTrials()
    storage.share(trial(0))
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_user_attr(0, "a", 1)
    with pytest.raises(KeyError):
        storage.get_trial(1)
    with pytest.raises(ValueError, match="trial 3 at place 1"):
        storage.create_new_trial(STUDY, trial(3))
