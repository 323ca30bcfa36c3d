"""Budgets of trained steps: never overrun, whatever happens, and used as far as what is asked for fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers
from hippo_core.engine.commands import (
    EnqueueTrial,
    ExtendTrial,
    StopTrial,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import StepsTrained
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.errors import Conflict, InvalidStudy
from hippo_core.policies.own import OwnSpec
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import SETTINGS, Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    POINTS,
    distinct_prefixes,
    expect_as_trained_alone,
    submit,
)
from tests.unit.engine.test_cluster import spec as plain_spec
from tests.unit.engine.test_endings import extend, running, settle, view
from tests.unit.engine.test_policies import study_of
from tests.unit.engine.test_populations import made as population

#: Steps are known by the node that holds them and their number: nodes are told apart by values.
Steps = set[tuple[int, int]]


def spec(steps: int, **changes: Any) -> StudySpec:
    return replace(plain_spec(**changes), endings=(endings.max_trained_steps(steps),))


def learning(steps: int, policy: policies.PolicySpec, max_trials: int = 30, **changes: Any) -> StudySpec:
    """A study whose points come one by one."""
    sampler = samplers.dehb() if policy.name == "dehb" else samplers.tpe()
    made = replace(spec(steps, **changes), max_trials=max_trials, sampler=sampler, policy=policy)
    return replace(made, max_steps=9)


def trained_steps(cluster: Cluster) -> Steps:
    """All steps that were committed, each once."""
    return {
        (event.node, step)
        for event in cluster.journal
        if isinstance(event, StepsTrained)
        for step in range(event.start, event.stop)
    }


def asked_steps(study: Study) -> Steps:
    """All steps that lead to what a study has open, each once."""
    return {
        (trial.node.owner(step + 1).id, step)
        for trial in study.branches()
        if trial.node is not None and trial.target is not None
        for step in range(trial.target)
    }


class Watched(Cluster):
    """A cluster of one study with a budget, which is looked at after every command."""

    def tell(self, command: Any) -> Any:
        before = len(self.journal)
        result = super().tell(command)
        if len(self.journal) > before and 1 in self.engine.state.studies:
            study = self.engine.state.studies[1]
            budget = study.spec.ending(endings.MaxTrainedSteps)
            assert budget is not None
            trained = trained_steps(self)
            assert study.steps_trained - study.steps_retrained == len(trained)
            assert len(trained | asked_steps(study)) <= budget.steps
        return result


POLICIES = (
    policies.full(),
    policies.asha(min_steps=1, reduction_factor=3),
    policies.sha(min_steps=1, reduction_factor=3),
    policies.median_stopping(min_trials=2),
    policies.pbt(interval=3),
)


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=5),
    st.one_of(
        st.builds(
            lambda policy, repeats: {"policy": policy, "repeats": repeats},
            st.sampled_from(POLICIES),
            st.sampled_from([1, 2]),
        ),
        st.sampled_from(
            [{"policy": policies.dehb(), "learns": True}, {"policy": POLICIES[1], "learns": True}]
        ),
    ),
)
def test_whatever_happens_a_budget_is_not_overrun_and_what_follows_does_not_fit(
    seed: int, steps: int, faults: list[tuple[int, str, str]], made: dict[str, Any]
) -> None:
    """1. A study runs; faults strike. 2. At any time what is trained and asked for fits. 3. At its end nothing does."""
    cluster = Watched(seed, {"a": 2, "b": 1})
    if made.get("learns"):
        submit(cluster, learning(steps, made["policy"]))
    elif made["policy"].name == "pbt":
        submit(cluster, replace(population(made["policy"]), endings=(endings.max_trained_steps(steps),)))
    else:
        submit(cluster, replace(spec(steps, policy=made["policy"]), repeats=made["repeats"]))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        getattr(cluster, fault)(*([] if fault in {"restart_server", "lose_checkpoint"} else [worker]))
    settle(cluster)
    found = view(cluster)
    assert len(trained_steps(cluster)) <= steps
    assert found.state in {StudyState.COMPLETED, StudyState.FAILED}
    assert found.ending in {"", "max_trained_steps"}
    assert Engine.restore(cluster.journal, SETTINGS, cluster.now).snapshot() == cluster.engine.snapshot()
    if found.ending:
        used, needed = _told(found.reason)
        assert used == len(trained_steps(cluster))
        assert used + needed > steps
    if not made.get("learns") and made["policy"] == policies.full() and not found.ending:
        assert found.trial_counts == {"completed": 36}


def _told(reason: str) -> tuple[int, int]:
    """What a reason says is used, and needed beside."""
    words = reason.split()
    return int(words[1]), int(words[words.index("needs") + 1])


@pytest.mark.parametrize("seed", range(6))
def test_a_full_policy_opens_trials_in_turn_as_long_as_the_next_one_fits(seed: int) -> None:
    steps = 60
    cluster = Watched(seed, {"a": 2})
    submit(cluster, spec(steps))
    settle(cluster)
    study = study_of(cluster)
    prefixes: set[tuple[Any, ...]] = set()
    opened = []
    for trial in study.trials.values():
        values = [tuple(sorted(trial.sequence.values(step).items())) for step in range(9)]
        more = prefixes | {tuple(values[: step + 1]) for step in range(9)}
        if len(more) > steps:
            break
        prefixes = more
        opened.append(trial.number)
    completed = [each.number for each in study.trials.values() if each.state is TrialState.COMPLETED]
    assert completed == opened
    found = view(cluster)
    assert found.savings.steps_trained == len(prefixes) == distinct_prefixes(cluster, "study")
    assert (found.state, found.ending) == (StudyState.COMPLETED, "max_trained_steps")
    needed = len(more) - len(prefixes)
    assert found.reason == (
        f"max_trained_steps: {len(prefixes)} of 60 steps are trained; trial {len(opened)} needs {needed} more to "
        "come to step 9"
    )
    assert study.trials[len(opened)].reason == f"the study ended: {found.reason}"
    expect_as_trained_alone(cluster, "study")


def test_the_study_tells_how_many_steps_are_left() -> None:
    cluster = running(endings.max_trained_steps(60), slots=1)
    while study_of(cluster).steps_trained < 5:
        cluster.act()
    used = study_of(cluster).steps_trained
    assert view(cluster).endings == (
        f"max_trained_steps: {used} of 60 steps are trained, {60 - used} are left",
    )


def test_what_is_trained_again_is_not_charged_again() -> None:
    """1. All checkpoints are lost again and again. 2. Steps are trained again. 3. The study comes as far as without."""

    def trained(lose: bool) -> tuple[int, int]:
        cluster = Watched(3, {"a": 1})
        submit(cluster, spec(60, policy=policies.asha(min_steps=1, reduction_factor=3)))
        while study_of(cluster).state is StudyState.RUNNING:
            cluster.act()
            if lose and cluster.random.random() < 0.1:
                cluster.kill_worker("a")
                cluster.storage.clear()
        settle(cluster)
        savings = view(cluster).savings
        return savings.steps_trained - savings.steps_retrained, savings.steps_retrained

    (used, again), (without, never) = trained(lose=True), trained(lose=False)
    assert never == 0 < again
    assert used <= 60
    assert without <= 60
    assert abs(used - without) < 9


def test_a_step_that_another_study_waits_for_too_is_charged_to_both() -> None:
    """1. Two equal studies begin together. 2. Each is charged with each step. 3. A third trains nothing."""
    cluster = Cluster(0, {"a": 2})
    for name in ("study", "other"):
        submit(cluster, spec(60, name=name))
    cluster.run()
    for name in ("study", "other"):
        found = study_view(cluster.engine, "default", name)
        assert found.ending == "max_trained_steps"
        assert found.savings.steps_trained == cluster.trained
    submit(cluster, spec(1, name="third"))
    cluster.run()
    found = study_view(cluster.engine, "default", "third")
    assert found.savings.steps_trained == 0
    assert found.trial_counts["completed"] == view(cluster).trial_counts["completed"]
    assert found.ending == "max_trained_steps"


@pytest.mark.parametrize("seed", range(6))
def test_what_a_user_stops_makes_room_for_others_once_its_path_has_let_go(seed: int) -> None:
    """1. A budget is for two trials. 2. The first is stopped on its way. 3. The third has room that it had not."""
    cluster = Watched(seed, {"a": 1})
    apart = [0.1, 0.2, 0.3]
    submit(cluster, replace(spec(18, rates=apart), max_trials=18))
    study = study_of(cluster)
    while not (study.open and any(lease.step >= 1 for lease in cluster.engine.state.leases.values())):
        cluster.act()
    first = min(study.open)
    cluster.tell(StopTrial(project="default", name="study", trial=first))
    settle(cluster)
    assert study.steps_trained <= 18
    assert study.steps_trained > 9
    assert view(cluster).ending == "max_trained_steps"
    assert sum(trial.state is TrialState.COMPLETED for trial in study.trials.values()) >= 1


def test_a_raised_budget_goes_on() -> None:
    cluster = running(endings.max_trained_steps(60))
    settle(cluster)
    with pytest.raises(
        Conflict, match=r"would end at once: max_trained_steps: \d+ of 60.*max_trained_steps too"
    ):
        extend(cluster, max_steps=12)
    extend(cluster, endings=(endings.max_trained_steps(1000),))
    settle(cluster)
    found = view(cluster)
    assert found.trial_counts == {"completed": 36}
    fresh = found.savings.steps_trained - found.savings.steps_retrained
    assert fresh == distinct_prefixes(cluster, "study")
    expect_as_trained_alone(cluster, "study")


def test_a_budget_that_is_lowered_below_what_is_open_ends_the_study() -> None:
    cluster = running(endings.max_trained_steps(200))
    while study_of(cluster).steps_trained < 5:
        cluster.act()
    extend(cluster, endings=(endings.max_trained_steps(20),))
    found = view(cluster)
    assert found.ending == "max_trained_steps"
    assert "and what is being trained needs" in found.reason
    assert not study_of(cluster).open


def test_a_user_s_word_on_one_trial_is_bound_by_the_budget_too() -> None:
    """1. The study has ended with 3 steps left at most. 2. A user wants 9 more: refused. 3. The budget is raised."""
    cluster = running(endings.max_trained_steps(60))
    settle(cluster)
    left = 60 - study_of(cluster).steps_trained
    before = cluster.engine.snapshot()
    with pytest.raises(Conflict, match=r"trial 0 needs \d+ more to come to step \d+.*--max-trained-steps"):
        cluster.tell(ExtendTrial(project="default", name="study", trial=0, to=9 + left + 1))
    assert cluster.engine.snapshot() == before


def test_a_user_s_word_that_does_not_fit_while_the_study_runs_waits_for_its_end() -> None:
    cluster = Watched(1, {"a": 1})
    submit(cluster, spec(20))
    cluster.tell(ExtendTrial(project="default", name="study", trial=0, to=40))
    settle(cluster)
    assert study_of(cluster).trials[0].reached == 9
    assert view(cluster).ending == "max_trained_steps"
    assert study_of(cluster).steps_trained <= 20


def test_nothing_is_proposed_while_something_does_not_fit() -> None:
    """1. ASHA with a budget of 20. 2. The first request that does not fit is the last: no further trial is drawn."""
    cluster = Watched(0, {"a": 2})
    submit(cluster, learning(20, policies.asha(min_steps=1, reduction_factor=3), max_trials=1000))
    settle(cluster)
    study = study_of(cluster)
    unbegun = [trial.number for trial in study.trials.values() if not trial.reached]
    assert len(unbegun) <= 1
    assert len(study.trials) < 30
    with pytest.raises(Conflict, match="has ended: max_trained_steps"):
        cluster.tell(EnqueueTrial(project="default", name="study", point=POINTS[0]))


def test_a_policy_of_ones_own_cannot_be_held_back() -> None:
    own = OwnSpec(reference="t:P")
    with pytest.raises(InvalidStudy, match="cannot hold back what a policy of your own asks for"):
        spec(10, policy=own)
