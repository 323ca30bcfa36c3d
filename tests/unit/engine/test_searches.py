"""Searches that fork, through the whole engine: exact, within their budget, and the same after any restart."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import endings, policies, samplers, schedules, space
from hippo_core.engine import journal
from hippo_core.engine.commands import SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.policies import PolicySpec
from hippo_core.proposing import own_point
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import SETTINGS, Cluster, alone
from tests.unit.engine.policy_comparison import expect_same_policies
from tests.unit.engine.test_budgets import Watched, trained_steps
from tests.unit.engine.test_cluster import FAULTS, expect_as_trained_alone
from tests.unit.engine.test_endings import settle
from tests.unit.engine.test_policies import ComparingCluster, study_of
from tests.unit.engine.test_probes import distinct_with_probes, expected_values
from tests.unit.engine.test_proposals import PROJECT, SEARCHED, seen_by_proposals
from tests.unit.engine.test_proposals import spec as plain_spec

THREE = {
    "lr": schedules.piecewise([space.loguniform(1e-3, 1.0) for _ in range(3)], [3, 6]),
    "m": schedules.piecewise([space.uniform(0.5, 1.0) for _ in range(2)], [6]),
}
FINITE = {
    "lr": space.choice([0.1, schedules.piecewise([0.1, space.choice([0.03, 0.01])], [3])]),
    "m": schedules.piecewise([space.choice([0.5, 0.9]), space.choice([0.5, 0.9, 0.95])], [6]),
}
Search = tuple[PolicySpec, dict[str, Any]]
SEARCHES: list[Search] = [
    (policies.fork_asha(1, 3), THREE),
    (policies.fork_asha(1, 3), SEARCHED),
    (policies.phase_tree(), THREE),
    (policies.phase_tree(probe_steps=2), FINITE),
    (policies.trie_asha(1, 3), FINITE),
    (policies.greedy_phases(2), THREE),
    (policies.dehb(1, 3), FINITE),
    (policies.greedy_phases(3, 2), FINITE),
    (policies.auto(), THREE),
    (policies.auto(), FINITE),
]


def spec(search: Search, budget: int | None = None, max_trials: int = 20, every: int = 1) -> StudySpec:
    policy, searched = search
    made = plain_spec(
        searched,
        max_trials=max_trials,
        max_steps=9,
        sampler=samplers.from_json({"sampler": policy.name}),
        policy=policy,
        endings=() if budget is None else (endings.max_trained_steps(budget),),
    )
    return replace(made, program=replace(made.program, evaluate_every=every))


def submit(cluster: Cluster, made: StudySpec) -> None:
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=made))


def strike(cluster: Cluster, faults: list[tuple[int, str, str]]) -> None:
    lone = {"restart_server", "lose_checkpoint", "repeat_proposal"}
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        getattr(cluster, fault)(*([] if fault in lone else [worker]))


class ComparingWatched(Watched, ComparingCluster):
    """Both the budget, after every command, and the policies, after every restart, are looked at."""


def expect_probes_as_trained_alone(cluster: Cluster) -> None:
    study = study_of(cluster)
    for probe in study.probes.values():
        if probe.state is TrialState.COMPLETED:
            found = alone(expected_values(study, probe), study.spec.program.evaluate_every)
            assert probe.value == found[probe.max_steps]


def expect_points_as_they_follow(cluster: Cluster) -> None:
    for created, task in seen_by_proposals(cluster.journal, study_of(cluster).spec):
        assert own_point(task) == (created.assignment, created.notes)


def some_faults(most: int) -> st.SearchStrategy[list[tuple[int, str, str]]]:
    return st.lists(
        st.tuples(
            st.integers(1, 80),
            st.sampled_from([*FAULTS, "restart_server", "repeat_proposal"]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=most,
    )


@settings(max_examples=15)
@given(
    st.integers(0, 2**32),
    some_faults(6),
    st.sampled_from(SEARCHES),
    st.one_of(st.none(), st.integers(1, 150)),
    st.sampled_from([1, 3]),
)
def test_whatever_strikes_all_is_exact_within_the_budget_and_follows_from_what_was_known(
    seed: int, faults: list[tuple[int, str, str]], search: Search, budget: int | None, every: int
) -> None:
    """1. A search runs; faults strike. 2. At any time what is trained and asked for, with probes, fits its budget.
    3. Restarts change no verdict. 4. It ends, exact, and each of its points follows from the journal.
    """
    cluster: Cluster = (ComparingCluster if budget is None else ComparingWatched)(seed, {"a": 2, "b": 1})
    submit(cluster, spec(search, budget, every=every))
    strike(cluster, faults)
    settle(cluster)
    cluster.restart_server()
    study = study_of(cluster)
    completed = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    if budget is None:
        assert study.state is StudyState.COMPLETED
        assert len(study.trials) <= 20
        assert all(trial.reached == 9 for trial in completed)
    else:
        assert len(trained_steps(cluster)) <= budget
        assert study.state is (StudyState.COMPLETED if completed else StudyState.FAILED)
    expect_as_trained_alone(cluster, "study")
    expect_probes_as_trained_alone(cluster)
    expect_points_as_they_follow(cluster)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search[0].name)
def test_each_distinct_step_is_trained_once_probes_and_all(search: Search) -> None:
    cluster = Watched(2, {"a": 2, "b": 1})
    submit(cluster, spec(search, budget=90, max_trials=500))
    settle(cluster)
    savings = study_view(cluster.engine, PROJECT, "study").savings
    assert savings.steps_trained - savings.steps_retrained == distinct_with_probes(cluster, "study")


FINITE_SEARCHES = [policies.phase_tree(), policies.dehb(1, 3)]


@pytest.mark.parametrize("policy", FINITE_SEARCHES, ids=lambda policy: policy.name)
def test_of_a_finite_space_all_is_trained_to_the_end_and_then_it_is_complete(policy: PolicySpec) -> None:
    """No point comes again to be trained as far as before, while there are others."""
    cluster = Cluster(3, {"a": 2})
    submit(cluster, spec((policy, FINITE), max_trials=500))
    cluster.run()
    study = study_of(cluster)
    assert (study.state, study.reason) == (
        StudyState.COMPLETED,
        "max_trials=500, but the space has 18 points",
    )
    ends = [trial for trial in study.trials.values() if trial.state is TrialState.COMPLETED]
    assert len({study.spec.identity(trial.assignment) for trial in ends}) == 18
    expect_points_as_they_follow(cluster)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search[0].name)
def test_a_restart_at_any_moment_decides_the_same(search: Search) -> None:
    """1. Every few events an engine is rebuilt from the journal. 2. It wants, proposes and decides the same."""
    cluster = Cluster(1, {"a": 2, "b": 1})
    submit(cluster, spec(search, budget=70))
    turn = 0
    while cluster.engine.state.active:
        if turn % 4 == 0:
            rebuilt = Engine.restore(cluster.journal, SETTINGS, cluster.now)
            expect_same_policies(cluster.engine, rebuilt)
            assert rebuilt.wanted() == cluster.engine.wanted()
            for wanted in cluster.proposals_wanted():
                tasks = [engine.proposal_task(wanted) for engine in (cluster.engine, rebuilt)]
                assert own_point(tasks[0]) == own_point(tasks[1])
        cluster.act()
        turn += 1
    assert turn > 100


def journal_of(search: Search) -> str:
    """All events of a search with a fault, as one number."""
    cluster = Cluster(5, {"a": 2, "b": 1})
    submit(cluster, spec(search, max_trials=16))
    for _ in range(60):
        cluster.act()
    cluster.kill_worker("a")
    cluster.run()
    lines = [[type(event).__name__, journal.to_json(event)] for event in cluster.journal]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def journals() -> list[str]:
    return [journal_of(search) for search in SEARCHES]


def test_two_hash_seeds_give_one_journal() -> None:
    program = (
        "import json; from tests.unit.engine.test_searches import journals; print(json.dumps(journals()))"
    )
    found = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
