"""Trie ASHA in the engine: each prefix once, to the end of the space or of the budget, whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers
from hippo_core.engine.events import ProposalWanted, TrialCreated
from hippo_core.engine.proposals import MakeProposal
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.proposing import own_point
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, distinct_prefixes, expect_as_trained_alone, submit
from tests.unit.engine.test_cluster import spec as plain_spec
from tests.unit.engine.test_endings import settle, view
from tests.unit.engine.test_policies import study_of


def spec(budget: int | None = None, max_trials: int = 1000) -> StudySpec:
    made = replace(
        plain_spec(policy=policies.full()),
        sampler=samplers.trie_asha(),
        policy=policies.trie_asha(1, 3),
        max_trials=max_trials,
    )
    return made if budget is None else replace(made, endings=(endings.max_trained_steps(budget),))


@pytest.mark.parametrize("workers", [{"a": 1}, {"a": 4, "b": 4}], ids=["one", "eight"])
def test_all_points_of_the_space_are_trained_and_then_it_is_complete(workers: dict[str, int]) -> None:
    cluster = Cluster(1, workers)
    submit(cluster, spec())
    cluster.run()
    study = study_of(cluster)
    assert (study.state, study.reason) == (
        StudyState.COMPLETED,
        "max_trials=1000, but the space has 36 points",
    )
    ends = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    assert len({study.spec.identity(trial.assignment) for trial in ends}) == len(ends) == 36
    savings = view(cluster).savings
    assert savings.steps_trained - savings.steps_retrained == distinct_prefixes(cluster, "study")
    expect_as_trained_alone(cluster, "study")


@settings(max_examples=10)
@given(
    st.integers(0, 2**32),
    st.integers(20, 150),
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=4),
)
def test_after_any_faults_it_decides_the_same_and_uses_its_budget(
    seed: int, budget: int, faults: list[tuple[int, str, str]]
) -> None:
    """1. A study with a budget; faults strike. 2. What it proposed follows from its record. 3. The budget holds."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    submit(cluster, spec(budget))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        getattr(cluster, fault)(*([] if fault in {"restart_server", "lose_checkpoint"} else [worker]))
    settle(cluster)
    study = study_of(cluster)
    assert study.steps_trained - study.steps_retrained <= budget
    assert view(cluster).ending == "max_trained_steps"
    assert any(trial.state is TrialState.COMPLETED for trial in study.trials.values())
    created = [event for event in cluster.journal if isinstance(event, TrialCreated)]
    wanted = {event.trial: event for event in cluster.journal if isinstance(event, ProposalWanted)}
    for event in created[-3:]:
        asked = wanted[event.trial]
        study.proposal = None
        study.proposal = (
            type(cluster.engine)
            .restore(  # what it may see is in the journal
                cluster.journal[: cluster.journal.index(asked) + 1], cluster.engine.settings, 0.0
            )
            .state.studies[1]
            .proposal
        )
        task = cluster.engine.proposal_task(
            MakeProposal(study=1, trial=asked.trial, sequence=asked.sequence, failures=0)
        )
        assert own_point(task) == (event.assignment, event.notes)
    study.proposal = None
    expect_as_trained_alone(cluster, "study")
