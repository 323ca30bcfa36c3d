"""Greedy phases: each phase's best candidate goes on, as a plain reading of the history has it; also after faults."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.commands import SubmitStudy
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.errors import InvalidStudy
from hippo_core.program import Program
from hippo_core.proposing import own_point
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, expect_as_trained_alone
from tests.unit.engine.test_policies import ComparingCluster, study_of
from tests.unit.engine.test_proposals import PROJECT, seen_by_proposals
from tests.unit.engine.test_proposals import spec as study_spec

STARTS = (0, 4, 8)
LATER = schedules.piecewise([space.loguniform(0.01, 1.0), space.loguniform(0.01, 1.0)], [6])
NAMES = ("lr/values/0", "lr/values/1", "lr/values/2")


def spec(candidates: int = 3, probe_steps: int | None = 2, max_trials: int = 16) -> StudySpec:
    """Three phases of four steps, a learning rate for each; few values, so that there are ties."""
    rates = [space.choice([0.1, 0.2, 0.4]), space.loguniform(0.01, 1.0), space.uniform(0.1, 0.9)]
    return study_spec(
        {"lr": schedules.piecewise(rates, [4, 8])},
        max_trials=max_trials,
        max_steps=12,
        sampler=samplers.from_json({"sampler": "greedy_phases"}),
        policy=policies.greedy_phases(candidates, probe_steps),
    )


def value_at(cluster: Cluster, trial: Trial, step: int) -> float | None:
    detail = trial_detail(cluster.engine, PROJECT, "study", trial.number)
    found = {each.step: each.metrics["accuracy"] for each in detail.history}
    return found.get(step)


def rounds(study: Study) -> dict[tuple[int, int], list[Trial]]:
    """The candidates, by lineage and phase."""
    found: dict[tuple[int, int], list[Trial]] = {}
    for trial in study.trials.values():
        found.setdefault((trial.notes["lineage"], trial.notes["phase"]), []).append(trial)
    return found


def best_of(cluster: Cluster, members: list[Trial]) -> Trial | None:
    """The one with the largest value where it is judged; the first of equals."""
    known = [(value_at(cluster, each, each.notes["step"]), each) for each in members]
    values = [(value, -each.number) for value, each in known if value is not None]
    return study_of(cluster).trials[-max(values)[1]] if values else None


def expect_greedy(cluster: Cluster, candidates: int, probe_steps: int) -> None:
    """All candidates are where they ought to be, judged where they ought to be; who came to the end is who ought to."""
    study = study_of(cluster)
    found = rounds(study)
    to_the_end = set()
    for (lineage, phase), members in found.items():
        assert len(members) <= candidates
        assert all(each.notes["step"] == STARTS[phase] + probe_steps for each in members)
        if phase:
            before = found[lineage, phase - 1]
            assert len(before) == candidates, "a phase is decided when all its candidates are there"
            base = best_of(cluster, before)
            assert base is not None
            for each in members:
                assert each.notes["base"] == base.number
                assert all(each.assignment[name] == base.assignment[name] for name in NAMES[:phase])
        if phase == len(STARTS) - 1 and len(members) == candidates:
            best = best_of(cluster, members)
            to_the_end |= set() if best is None else {best.number}
    # Where a candidate's probe is the whole of the last phase, it is at the end.
    to_the_end |= {each.number for each in study.trials.values() if each.notes["step"] == 12}
    completed = {each.number for each in study.trials.values() if each.state is TrialState.COMPLETED}
    if to_the_end:
        assert completed == to_the_end
    else:
        assert len(completed) == 1
    for trial in study.trials.values():
        assert trial.reached == (12 if trial.number in completed else trial.notes["step"])


@settings(max_examples=12)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 80),
            st.sampled_from([*FAULTS, "restart_server", "repeat_proposal"]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=6,
    ),
    st.integers(2, 4),
    st.integers(1, 4),
)
def test_whatever_strikes_the_best_of_each_phase_goes_on(
    seed: int, faults: list[tuple[int, str, str]], candidates: int, probe_steps: int
) -> None:
    """1. A search runs, faults strike. 2. It ends, exact. 3. Each point follows from the journal, each step from it."""
    made = spec(candidates, probe_steps)
    cluster = ComparingCluster(seed, {"a": 2, "b": 1})
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=made))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        lone = {"restart_server", "lose_checkpoint", "repeat_proposal"}
        getattr(cluster, fault)(*([] if fault in lone else [worker]))
    cluster.run()
    study = study_of(cluster)
    assert study.state is StudyState.COMPLETED
    assert len(study.trials) == 16
    expect_as_trained_alone(cluster, "study")
    for created, task in seen_by_proposals(cluster.journal, made):
        assert (created.assignment, created.notes) == own_point(task)
    expect_greedy(cluster, candidates, probe_steps)


def test_one_slot_decides_one_lineage_after_the_other_and_more_slots_begin_further_ones() -> None:
    for slots, side_by_side in ((1, 1), (4, 2)):
        cluster = Cluster(3, {"a": slots})
        cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=spec(max_trials=18)))
        lineages = []
        while study_of(cluster).state is StudyState.RUNNING:
            cluster.act()
            waiting = {
                trial.notes["lineage"]
                for trial in study_of(cluster).trials.values()
                if trial.target is not None
            }
            lineages.append(len(waiting))
        assert max(lineages) >= side_by_side
        if slots == 1:
            assert [trial.notes["lineage"] for trial in study_of(cluster).trials.values()] == [0] * 9 + [
                1
            ] * 9
            assert study_of(cluster).steps_retrained == 0


def test_it_says_whose_candidate_a_trial_is_and_how_it_compares() -> None:
    policy = policies.greedy_phases(2, 2).build((False,), 1, 4)
    for trial, value in enumerate((0.3, 0.2)):
        notes = {
            "lineage": 0,
            "phase": 1,
            "base": None if not trial else 0,
            "start": 4,
            "step": 6,
            "last": True,
        }
        policy.noted(trial, notes)
        policy.added(trial, 12)
        (verdict,) = policy.decide()
        way = ", on the way of trial 0" if trial else ""
        assert verdict.reason == f"candidate {trial + 1} of 2 for phase 1, from step 4, of lineage 0{way}"
        policy.requested(trial, 6)
        policy.observed(trial, 6, (value,), trial)
    (verdict,) = policy.decide()
    assert (verdict.trial, verdict.reason) == (
        1,
        "rank 1 of 2 at step 6 in phase 1 of lineage 0, 0.2; it goes to the end",
    )
    assert policy.standing(0) == "rank 2 of 2 at step 6 in phase 1 of lineage 0, 0.3"


@pytest.mark.parametrize(
    ("rate", "max_steps", "evaluate_every"),
    [
        (space.loguniform(0.01, 1.0), 12, 1),
        (LATER, 1, 1),
        (LATER, 18, 18),
    ],
    ids=["from the first step on", "one step", "one evaluation"],
)
def test_a_search_without_later_phases_is_refused(rate: Any, max_steps: int, evaluate_every: int) -> None:
    searched = space.Space({"lr": rate})
    with pytest.raises(InvalidStudy, match="bears on the first steps"):
        study_spec(
            {"lr": rate},
            max_steps=max_steps,
            sampler=samplers.greedy_phases(),
            policy=policies.greedy_phases(),
            program=Program(
                trainer="t:T", code_digest="c", kinds=searched.kinds, evaluate_every=evaluate_every
            ),
        )


def test_peers_words_are_told_ours() -> None:
    with pytest.raises(InvalidStudy) as error:
        policies.greedy_phases(num_candidates=3)  # type: ignore[call-arg]
    assert error.value.hint == "Use candidates."
