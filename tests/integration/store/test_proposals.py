"""Points that are waited for, and what samplers note with trials, come back from the rows."""

from __future__ import annotations

import random

import pytest

from hippo_core import policies, samplers
from hippo_core.engine.commands import (
    DeleteStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    FailProposal,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.proposals import TRIES
from hippo_core.engine.states import StudyState
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.cluster import SETTINGS
from tests.unit.engine.test_cluster import expect_as_trained_alone
from tests.unit.engine.test_proposals import PROJECT, spec, the_study


def expect_the_same_tasks(cluster: StoredCluster) -> None:
    """A server that starts from the rows asks for the same points, with the same history."""
    cluster.expect_equal_from_rows()
    rebuilt = Engine.restore(cluster.store.load(), SETTINGS, cluster.now)
    assert rebuilt.wanted() == cluster.engine.wanted()
    for wanted in cluster.proposals_wanted():
        assert rebuilt.proposal_task(wanted) == cluster.engine.proposal_task(wanted)


def fail(cluster: StoredCluster) -> None:
    for wanted in cluster.proposals_wanted():
        cluster.tell(
            FailProposal(
                study=wanted.study, trial=wanted.trial, sequence=wanted.sequence, reason="it's \x00 slow"
            )
        )


@pytest.mark.parametrize("seed", range(4))
def test_a_study_whose_sampler_learns_comes_back_at_any_moment(store: Store, seed: int) -> None:
    """1. Proposals, failures, pauses, forks and restarts in random order. 2. At each moment the rows tell all of it."""
    cluster = StoredCluster(seed, {"a": 2, "b": 1}, store, 3)
    chosen = random.Random(seed)
    study = spec(policy=policies.asha(min_steps=1, reduction_factor=2), max_trials=14)
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=study))
    for moment in range(30):
        for _ in range(8):
            cluster.act()
        match chosen.randrange(7):
            case 0:
                fail(cluster)
            case 1:
                cluster.restart_server()
            case 2 if the_study(cluster).state is StudyState.RUNNING:
                cluster.tell(PauseStudy(project=PROJECT, name="study"))
                cluster.tell(ResumeStudy(project=PROJECT, name="study"))
            case 3:
                cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=6 + moment // 10))
            case 4 if the_study(cluster).trials:
                parent, at = chosen.randrange(len(the_study(cluster).trials)), chosen.randrange(5)
                given = {"lr": chosen.choice([0.01, 0.02])}
                cluster.tell(
                    ForkTrial(project=PROJECT, name="study", trial=parent, at=at, hyperparameters=given)
                )
            case 5 if the_study(cluster).unproposed > 1:
                cluster.tell(EnqueueTrial(project=PROJECT, name="study", point={"lr": 0.1, "m": 0.5}))
        expect_the_same_tasks(cluster)
        if the_study(cluster).state is StudyState.PAUSED:
            cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")
    trials = the_study(cluster).trials
    assert sum(trial.fork is None for trial in trials.values()) == 14
    assert len(trials) > 14
    for number, trial in trials.items():
        is_drawn = trial.fork is None and not trial.enqueued
        assert trial.notes == ({"of": number} if is_drawn else {})


def test_a_given_up_proposal_stays_given_up_until_it_is_wanted_anew(store: Store) -> None:
    """1. All tries fail. 2. The server restarts: nothing is asked. 3. Taken up again, in one batch with the answer."""
    cluster = StoredCluster(0, {"a": 1}, store, 1)
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=spec(max_trials=2)))
    for _ in range(TRIES):
        fail(cluster)
    cluster.restart_server()
    assert cluster.proposals_wanted() == []
    cluster.commands = 100
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    fail(cluster)
    (wanted,) = cluster.proposals_wanted()
    assert wanted.failures == 1
    cluster.propose(wanted.study)
    expect_the_same_tasks(cluster)
    cluster.run()
    assert the_study(cluster).state is StudyState.COMPLETED


def test_a_deleted_study_leaves_no_proposals(store: Store) -> None:
    cluster = StoredCluster(0, {"a": 1}, store)
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=spec()))
    for _ in range(40):
        cluster.act()
    cluster.tell(PauseStudy(project=PROJECT, name="study"))
    cluster.tell(DeleteStudy(project=PROJECT, name="study"))
    cluster.expect_equal_from_rows()
    with store._database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM proposals")
        assert cursor.fetchone() == (0,)


def test_a_study_whose_points_come_from_outside_comes_back_at_any_moment(store: Store) -> None:
    """1. Points are told, trials extended and stopped by hand, the study paused. 2. At each moment the rows tell it."""
    cluster = StoredCluster(1, {"a": 2}, store, 3)
    made = spec(sampler=samplers.outside(), policy=policies.manual(min_steps=2), max_trials=8)
    cluster.tell(SubmitStudy(project=PROJECT, user="u", spec=made))
    for moment in range(8):
        cluster.expect_equal_from_rows()
        assert the_study(cluster).wants_points
        told = EnqueueTrial(
            project=PROJECT, name="study", point={"lr": 0.1, "m": moment / 10}, ask=f"ask {moment}"
        )
        assert cluster.tell(told) == moment
        cluster.restart_server()
        assert cluster.tell(told) == moment
        while the_study(cluster).open:
            cluster.act()
        to = 6 if moment % 2 else 4
        cluster.tell(ExtendTrial(project=PROJECT, name="study", trial=moment, to=to))
        if moment == 5:
            cluster.tell(PauseStudy(project=PROJECT, name="study"))
            cluster.expect_equal_from_rows()
            cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    while the_study(cluster).open:
        cluster.act()
    for trial in range(0, 8, 2):
        cluster.tell(StopTrial(project=PROJECT, name="study", trial=trial))
    assert the_study(cluster).state is StudyState.COMPLETED
    cluster.expect_equal_from_rows()
    assert [trial.reached for trial in the_study(cluster).trials.values()] == [4, 6] * 4
    expect_as_trained_alone(cluster, "study")
