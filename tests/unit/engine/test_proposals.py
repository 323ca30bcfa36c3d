"""Points of samplers that learn: what they see, when they are wanted, and what becomes of wrong answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.distinct import identity
from hippo_core.engine.commands import (
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    FailProposal,
    Heartbeat,
    PauseStudy,
    ProposeTrial,
    ResumeStudy,
    SaveFailedReport,
    StopStudy,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import (
    Event,
    ProposalWanted,
    RequestClosed,
    TrialCreated,
    TrialLimited,
    TrialStateChanged,
)
from hippo_core.engine.proposals import TRIES, PastTrial, ProposalTask
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.objective import Objective
from hippo_core.policies import Values
from hippo_core.probes import probe_of
from hippo_core.program import Program
from hippo_core.repeats import trial_of
from hippo_core.study import StudySpec
from tests.unit.engine import cluster as simulated
from tests.unit.engine.cluster import SETTINGS, Cluster, alone
from tests.unit.engine.test_cluster import FAULTS, expect_as_trained_alone

PROJECT = "default"
SEARCHED = {
    "lr": space.choice([0.1, schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [3])]),
    "m": space.uniform(0.0, 1.0),
}


def spec(searched: dict[str, Any] | None = None, **changes: Any) -> StudySpec:
    found = space.Space(SEARCHED if searched is None else searched)
    made: dict[str, Any] = {
        "name": "study",
        "space": found,
        "objectives": (Objective(metric="accuracy", maximize=True),),
        "max_trials": 8,
        "max_steps": 6,
        "sampler": samplers.tpe(),
        "policy": policies.full(),
        "program": Program(trainer="t:T", code_digest="c", kinds=found.kinds),
    }
    return StudySpec(**{**made, **changes})


def running(workers: dict[str, int] | None = None, seed: int = 0, **changes: Any) -> Cluster:
    cluster = Cluster(seed, {"a": 1} if workers is None else workers)
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=spec(**changes)))
    return cluster


def the_study(cluster: Cluster) -> Any:
    found = cluster.engine.state.study_named(PROJECT, "study")
    assert found is not None
    return found


def answer(cluster: Cluster, **changes: Any) -> ProposeTrial:
    (wanted,) = cluster.proposals_wanted()
    assignment = simulated.propose(cluster.engine.proposal_task(wanted))
    made = {
        "study": wanted.study,
        "trial": wanted.trial,
        "sequence": wanted.sequence,
        "assignment": assignment,
    }
    return ProposeTrial(**{**made, **changes})


def fail(cluster: Cluster, reason: str = "ValueError: no") -> None:
    (wanted,) = cluster.proposals_wanted()
    cluster.tell(
        FailProposal(study=wanted.study, trial=wanted.trial, sequence=wanted.sequence, reason=reason)
    )


def seen_by_proposals(
    journal: list[Event], study_spec: StudySpec
) -> Iterator[tuple[TrialCreated, ProposalTask]]:
    """Each proposed trial with what its sampler saw, told from the journal alone."""
    created: dict[int, TrialCreated] = {}
    closed: dict[int, list[RequestClosed]] = {}
    done: set[int] = set()
    parted: dict[int, int] = {}  # by probe, the step from which on it parts from its trial
    probes: dict[int, dict[int, Values]] = {}
    wanted: tuple[ProposalWanted, list[PastTrial]] | None = None
    for event in journal:
        if isinstance(event, TrialCreated | TrialStateChanged | RequestClosed) and probe_of(event.trial):
            if isinstance(event, TrialCreated):
                assert event.fork is not None
                parted[event.trial] = event.fork["at"]
            elif isinstance(event, RequestClosed) and event.value is not None:
                probes.setdefault(trial_of(event.trial), {})[parted[event.trial]] = (event.value,)
        elif isinstance(event, TrialStateChanged):
            (done.add if event.state is TrialState.COMPLETED else done.discard)(event.trial)
        elif isinstance(event, RequestClosed):
            closed.setdefault(event.trial, []).append(event)
        elif isinstance(event, ProposalWanted):
            wanted = (
                event,
                [
                    past_trial(
                        study_spec,
                        created[each],
                        closed.get(each, []),
                        each in event.pending,
                        event.max_steps,
                        done,
                        dict(probes.get(each, {})),
                    )
                    for each in range(event.trial)
                ],
            )
        elif isinstance(event, TrialCreated):
            created[event.trial] = event
            if wanted is not None:
                yield event, ProposalTask(spec=study_spec, trial=event.trial, history=tuple(wanted[1]))


def past_trial(
    study_spec: StudySpec,
    made: TrialCreated,
    closed: list[RequestClosed],
    pending: bool,
    max_steps: int | None,
    done: set[int],
    probes: Mapping[int, Values],
) -> PastTrial:
    """A trial as its sampler saw it; its values are those of a trial that is trained alone."""
    every = study_spec.program.evaluate_every
    history = alone([study_spec.sequence(made.assignment).values(step) for step in range(12)], every)
    values = {}
    for each in closed:
        step = each.reached if each.value is not None else (each.reached - 1) // every * every
        if step > 0:
            values[step] = (history[step],)
    last = closed[-1].state if closed else None
    if pending or last is None:
        state = TrialState.WAITING
    elif last in {RequestState.DIVERGED, RequestState.INFEASIBLE}:
        state = TrialState.DIVERGED
    elif last is RequestState.FAILED or not values:
        state = TrialState.FAILED
    else:
        completed = max(values) == max_steps or (last is RequestState.CANCELLED and made.trial in done)
        state = TrialState.COMPLETED if completed else TrialState.STOPPED
    reached, sequence = (closed[-1].reached, closed[-1].sequence) if closed else (0, 0)
    return PastTrial(
        trial=made.trial,
        assignment=made.assignment,
        notes=made.notes,
        state=state,
        values=values,
        reached=reached,
        sequence=sequence,
        probes=probes,
    )


ALL_FAULTS = (*FAULTS, "repeat_proposal")
POLICIES = [
    policies.full(),
    policies.asha(min_steps=1, reduction_factor=3),
    policies.hyperband(min_steps=1, reduction_factor=3),
    policies.median_stopping(min_trials=2),
    policies.patience(1),
]


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from(ALL_FAULTS), st.sampled_from(["a", "b"])), max_size=8
    ),
    st.sampled_from(POLICIES),
    st.sampled_from([1, 2]),
)
def test_each_proposal_is_a_function_of_what_was_known_when_it_was_wanted(
    seed: int, faults: list[tuple[int, str, str]], policy: policies.PolicySpec, evaluate_every: int
) -> None:
    """1. A study runs; faults strike. 2. It ends with all its trials, exact. 3. Each point follows from the journal."""
    study_spec = spec(policy=policy, max_trials=12)
    program = replace(study_spec.program, evaluate_every=evaluate_every)
    study_spec = replace(study_spec, program=program)
    cluster = Cluster(seed, {"a": 2, "b": 1})
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=study_spec))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        alone = {"restart_server", "lose_checkpoint", "repeat_proposal"}
        getattr(cluster, fault)(*([] if fault in alone else [worker]))
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    assert len(study.trials) == 12
    expect_as_trained_alone(cluster, "study")
    proposed = list(seen_by_proposals(cluster.journal, study_spec))
    assert len(proposed) == 12
    for created, task in proposed:
        assert created.assignment == simulated.propose(task)
        assert created.notes == {"of": created.trial}


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_at_any_moment_wants_the_same_proposals(seed: int) -> None:
    """1. A study runs, is extended on the way. 2. After each action an engine is rebuilt: it asks for the same."""
    cluster = running({"a": 2}, seed, policy=policies.asha(min_steps=1, reduction_factor=3))
    asked = 0
    for moment in range(400):
        if moment == 60:
            cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=9))
        rebuilt = Engine.restore(cluster.journal, SETTINGS, cluster.now)
        assert rebuilt.wanted() == cluster.engine.wanted()
        for wanted in cluster.proposals_wanted():
            asked += 1
            task, again = cluster.engine.proposal_task(wanted), rebuilt.proposal_task(wanted)
            assert (task.trial, task.history) == (again.trial, again.history)
        if not cluster.engine.state.active:
            break
        cluster.act()
    assert asked >= 8
    assert any(isinstance(event, TrialLimited) for event in cluster.journal)


def test_an_extension_between_the_wish_and_the_answer_changes_nothing_of_what_is_seen() -> None:
    cluster = running(max_trials=3)
    while len(the_study(cluster).trials) < 2 or not cluster.proposals_wanted():
        cluster.act()
    (wanted,) = cluster.proposals_wanted()
    before = cluster.engine.proposal_task(wanted).history
    assert [past.state for past in before] == [TrialState.COMPLETED] * 2
    cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=9))
    assert cluster.engine.proposal_task(wanted).history == before


def test_as_many_are_proposed_as_slots_idle_each_seeing_those_before() -> None:
    cluster = running({"a": 2, "b": 1})
    for number in range(3):
        (wanted,) = cluster.proposals_wanted()
        history = cluster.engine.proposal_task(wanted).history
        assert [past.state for past in history] == [TrialState.WAITING] * number
        cluster.propose(wanted.study)
    assert cluster.proposals_wanted() == []
    assert len(the_study(cluster).open) == len(cluster.engine.state.leases) == 3


def test_idle_slots_get_no_endless_trials_that_wait_for_one_prefix() -> None:
    """1. All trials share their first three steps; one slot of four trains these. 2. Of further trials come no more
    than twice as many as there are slots, which all learn nothing from each other. 3. All ends."""
    shared = {"lr": schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [3])}
    cluster = running({"a": 4}, searched=shared, max_trials=30)
    while cluster.proposals_wanted():
        cluster.propose(the_study(cluster).id)
    assert len(cluster.engine.state.leases) == 1
    assert len(the_study(cluster).open) == 8
    cluster.run()
    assert study_view(cluster.engine, PROJECT, "study").trial_counts == {"completed": 30}


def test_without_a_worker_one_trial_is_proposed_and_waits() -> None:
    cluster = running({})
    assert study_view(cluster.engine, PROJECT, "study").reason == "the sampler tpe is proposing trial 0"
    cluster.propose(the_study(cluster).id)
    assert cluster.proposals_wanted() == []
    assert study_view(cluster.engine, PROJECT, "study").reason == "no worker is there"


def test_a_slot_that_idles_because_of_a_failure_is_given_no_further_trials() -> None:
    """1. A runner dies, its path is to be tried again in a while. 2. Until then nothing is proposed. 3. All ends."""
    cluster = running()
    cluster.propose(the_study(cluster).id)
    worker = cluster.workers["a"]
    cluster.receive(worker)
    cluster.kill_runner("a")
    (lease,) = worker.running.values()
    cluster.report(worker, lease)
    assert not cluster.engine.state.leases
    assert cluster.proposals_wanted() == []
    cluster.run()
    assert study_view(cluster.engine, PROJECT, "study").trial_counts == {"completed": 8}


def test_while_states_find_no_space_idle_slots_are_given_no_further_trials() -> None:
    """1. A save fails for lack of space. 2. Neither in the pause nor while one path tries is a point wanted. 3. Then
    all ends."""
    cluster = running({"a": 2}, checkpoint_every=1)
    cluster.propose(the_study(cluster).id)
    cluster.propose(the_study(cluster).id)
    worker = cluster.workers["a"]
    cluster.receive(worker)
    for path in list(worker.running.values()):
        while not path.done:
            cluster.train(worker, path)
        for node, step in path.spool:
            path.tell(SaveFailedReport(node=node, step=step, reason="full", full=True))
        path.spool.clear()
        cluster.report(worker, path)
    assert not cluster.engine.state.leases
    assert cluster.proposals_wanted() == []
    cluster.now = cluster.engine.volatile.held[the_study(cluster).plan]
    cluster.tell(Heartbeat(worker="a", incarnation=str(worker.incarnation)))
    cluster.tell(Tick())
    assert len(cluster.engine.state.leases) == 1
    assert cluster.proposals_wanted() == []
    cluster.run()
    assert study_view(cluster.engine, PROJECT, "study").trial_counts == {"completed": 8}


def test_a_paused_or_stopped_study_wants_nothing() -> None:
    cluster = running()
    cluster.tell(PauseStudy(project=PROJECT, name="study"))
    assert cluster.proposals_wanted() == []
    assert not study_view(cluster.engine, PROJECT, "study").given_up
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    assert [wanted.trial for wanted in cluster.proposals_wanted()] == [0]
    late = answer(cluster)
    cluster.tell(StopStudy(project=PROJECT, name="study"))
    cluster.tell(late)
    assert not the_study(cluster).trials


@pytest.mark.parametrize("changes", [{"trial": 1}, {"sequence": 7}, {"study": 9}])
def test_an_answer_to_what_was_not_asked_changes_nothing(changes: dict[str, int]) -> None:
    cluster = running()
    before = cluster.engine.snapshot()
    cluster.tell(answer(cluster, **changes))
    assert cluster.engine.snapshot() == before


INVALID: list[tuple[dict[str, Any], str]] = [
    ({}, "'nothing' cannot be drawn"),
    ({"lr": 2, "m": 0.5}, "2 cannot be drawn"),
    ({"lr": 0, "m": 1.5}, "1.5 cannot be drawn"),
    ({"lr": 0, "m": "x"}, "'x' cannot be drawn"),
    ({"lr": 0, "m": 0.5, "x": 1}, "no such draw"),
    ({"lr": 0, "m": 0.95}, "does not satisfy 'm < 0.9'"),
]


@pytest.mark.parametrize(("assignment", "words"), INVALID)
def test_a_point_that_cannot_be_trained_counts_as_a_failure(assignment: dict[str, Any], words: str) -> None:
    cluster = running(searched={**SEARCHED, "c": space.constraint("m < 0.9")})
    cluster.tell(answer(cluster, assignment=assignment))
    study = the_study(cluster)
    assert not study.trials
    reason = study_view(cluster.engine, PROJECT, "study").reason
    assert reason.startswith(
        "the sampler tpe has failed once to propose trial 0: it proposed a point that cannot"
    )
    assert words in reason
    assert reason.endswith("It is tried again")
    assert [wanted.failures for wanted in cluster.proposals_wanted()] == [1]


def test_a_point_whose_schedule_overflows_is_no_trial() -> None:
    cluster = running(searched={"lr": schedules.exponential(1.0, space.loguniform(1e-300, 1e62))})
    cluster.tell(answer(cluster, assignment={"lr/gamma": 1e62}))
    assert not the_study(cluster).trials
    assert "space['lr']: is inf at step 5" in the_study(cluster).proposal.reason


def test_after_its_last_try_a_sampler_is_not_asked_and_the_study_pauses_when_nothing_runs() -> None:
    """1. Two trials run, the third's sampler fails. 2. They go on to their ends. 3. Then the study pauses, and says
    why. 4. Taken up again, it asks anew, and sees what has come by then."""
    cluster = running({"a": 3}, max_trials=3)
    for _ in range(2):
        cluster.propose(the_study(cluster).id)
    for _ in range(TRIES):
        fail(cluster)
    assert cluster.proposals_wanted() == []
    assert the_study(cluster).state is StudyState.RUNNING
    assert (
        "has failed 3 times to propose trial 2: ValueError: no. What runs goes on"
        in study_view(cluster.engine, PROJECT, "study").reason
    )
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.PAUSED
    assert study.reason == (
        "the sampler tpe has failed 3 times to propose trial 2: ValueError: no. "
        "Submitted under another name, with another sampler, the study shares what was trained; "
        "hippo study resume study tries again"
    )
    assert study_view(cluster.engine, PROJECT, "study").given_up
    assert {trial.state for trial in study.trials.values()} == {TrialState.COMPLETED}
    cluster.restart_server()
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    (wanted,) = cluster.proposals_wanted()
    history = cluster.engine.proposal_task(wanted).history
    assert [past.state for past in history] == [TrialState.COMPLETED] * 2
    cluster.run()
    assert the_study(cluster).state is StudyState.COMPLETED


def test_a_failing_sampler_hurts_no_other_study() -> None:
    cluster = running({"a": 1})
    other = replace(spec(), name="other")
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=other))
    broken = the_study(cluster).id
    for _ in range(TRIES):
        (wanted,) = [each for each in cluster.proposals_wanted() if each.study == broken]
        cluster.tell(
            FailProposal(study=broken, trial=wanted.trial, sequence=wanted.sequence, reason="too slow")
        )
    assert the_study(cluster).state is StudyState.PAUSED
    cluster.run()
    assert study_view(cluster.engine, PROJECT, "other").state is StudyState.COMPLETED


def test_a_long_reason_is_cut() -> None:
    cluster = running()
    fail(cluster, "x" * 10_000)
    assert len(the_study(cluster).proposal.reason) < 600


@pytest.mark.parametrize("make", [samplers.random, samplers.qmc, samplers.tpe])
def test_the_first_trials_are_the_given_points_whatever_the_sampler(
    make: Callable[[], samplers.Sampler],
) -> None:
    initial = ({"lr": 0, "m": 0.25}, {"lr": 1, "lr/1/values/1": 0.01, "m": 0.5})
    cluster = running(initial=initial, sampler=make(), max_trials=5)
    cluster.run()
    trials = the_study(cluster).trials
    assert [trials[number].assignment for number in range(2)] == list(initial)
    assert len(trials) == 5
    assert the_study(cluster).state is StudyState.COMPLETED


def test_a_grid_follows_the_given_points_whole() -> None:
    searched = {"lr": space.choice([0.1, 0.2, 0.3])}
    cluster = running(
        searched=searched, sampler=samplers.grid(), max_trials=4, initial=({"lr": 2},), max_steps=2
    )
    cluster.run()
    assert [trial.assignment["lr"] for trial in the_study(cluster).trials.values()] == [2, 0, 1, 2]


def test_more_trials_are_proposed_when_a_study_is_extended() -> None:
    cluster = running(max_trials=3)
    cluster.run()
    cluster.tell(ExtendStudy(project=PROJECT, name="study", max_trials=5))
    cluster.run()
    assert len(the_study(cluster).trials) == 5
    assert study_view(cluster.engine, PROJECT, "study").trial_counts == {"completed": 5}


def test_a_policy_ends_the_study_only_when_all_trials_were_proposed() -> None:
    cluster = running({"a": 2}, policy=policies.asha(min_steps=1, reduction_factor=2), max_trials=9)
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    assert len(study.trials) == 9
    seen = [past.state for _, task in seen_by_proposals(cluster.journal, study.spec) for past in task.history]
    assert {TrialState.STOPPED, TrialState.WAITING} <= set(seen)


# A space whose points are all trials

FEW = {"x": space.choice([1, 2, 3]), "y": space.choice([0.1, schedules.piecewise([0.1, 0.1], [3]), 0.2])}
"""Six points, three of which have copies."""


def few(policy: policies.PolicySpec, sampler: samplers.Sampler | None = None, **changes: Any) -> StudySpec:
    made = {"max_trials": 20, "max_steps": 9, "sampler": sampler or samplers.bohb(min_points=3), **changes}
    return spec(FEW, policy=policy, **made)


def submit_few(cluster: Cluster, made: StudySpec) -> None:
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=made))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "policy", [policies.full(), policies.asha(), policies.sha()], ids=lambda each: each.name
)
@pytest.mark.parametrize("sampler", [samplers.bohb(min_points=3), samplers.random()], ids=str)
def test_a_study_is_complete_when_all_points_of_its_space_are_trials(
    seed: int, policy: policies.PolicySpec, sampler: samplers.Sampler
) -> None:
    """1. 20 trials may be, of 6 points. 2. The server restarts. 3. There are 6, no two alike, and the study says so."""
    cluster = Cluster(seed, {"a": 2})
    submit_few(cluster, few(policy, sampler))
    for _ in range(30):
        cluster.act()
    cluster.restart_server()
    cluster.run()
    cluster.restart_server()
    study = cluster.engine.state.studies[1]
    assert study.state is StudyState.COMPLETED
    assert study.reason == "max_trials=20, but the space has 6 points"
    assert len({study.spec.identity(trial.assignment) for trial in study.trials.values()}) == 6
    assert len(study.trials) == 6
    assert any(trial.state is TrialState.COMPLETED for trial in study.trials.values())
    expect_as_trained_alone(cluster, "study")


def test_a_user_s_copy_stands_and_other_points_come_with_another_space() -> None:
    """1. A user enqueues a point twice. 2. All others come once. 3. A wider space has further ones."""
    cluster = Cluster(0, {"a": 1})
    made = few(policies.full())
    submit_few(cluster, made)
    for _ in range(2):
        cluster.tell(EnqueueTrial(project="default", name="study", point={"x": 1, "y": 0.2}))
    cluster.run()
    study = cluster.engine.state.studies[1]
    assert len(study.trials) == 7
    assert study.reason == "max_trials=20, but the space has 6 points"
    wider = space.Space({**FEW, "x": space.choice([1, 2, 3, 4])})
    cluster.tell(EditStudy(project=PROJECT, name="study", spec=replace(made, space=wider)))
    assert cluster.engine.state.studies[1].exhausted == 0
    cluster.run()
    study = cluster.engine.state.studies[1]
    assert len(study.trials) == 9
    assert {trial.sequence.values(0)["x"] for trial in study.trials.values()} == {1, 2, 3, 4}
    assert study.reason == "max_trials=20, but the space has 8 points"
    cluster.restart_server()


def test_random_points_of_an_edited_study_are_no_copies_of_its_trials() -> None:
    cluster = Cluster(0, {"a": 1})
    made = few(policies.full(), samplers.random(), max_trials=4)
    submit_few(cluster, made)
    cluster.run()
    wider = space.Space({**FEW, "x": space.choice([0, 1, 2, 3])})
    cluster.tell(EditStudy(project=PROJECT, name="study", spec=replace(made, space=wider, max_trials=30)))
    cluster.run()
    study = cluster.engine.state.studies[1]
    assert len(study.trials) == 8
    found = {identity(trial.sequence, 9) for trial in study.trials.values()}
    assert len(found) == 8
