"""What users' own policies were told, have answered, and failed to answer, comes back from the rows."""

from __future__ import annotations

import random

import pytest

from hippo_core.engine.commands import (
    DeleteStudy,
    ExtendStudy,
    FailPolicy,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopTrial,
)
from hippo_core.engine.consultations import TRIES
from hippo_core.engine.engine import Engine
from hippo_core.engine.states import StudyState
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.cluster import SETTINGS
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_own_policies import (
    CLASSES,
    ERRATIC,
    PROJECT,
    expect_the_same_decisions,
    the_study,
)


class ConsultingCluster(StoredCluster):
    """Compares what is asked, too, whenever an engine is rebuilt from the rows."""

    def expect_equal_from_rows(self) -> None:
        super().expect_equal_from_rows()
        rebuilt = Engine.restore(self.store.load(), SETTINGS, self.now)
        assert rebuilt.wanted() == self.engine.wanted()
        for wanted in self.consultations_wanted():
            assert rebuilt.policy_question(wanted, 0) == self.engine.policy_question(wanted, 0)


def running(store: Store, seed: int = 0, commands: int = 1) -> ConsultingCluster:
    cluster = ConsultingCluster(seed, {"a": 2, "b": 1}, store, commands)
    cluster.policy_classes.update(CLASSES)
    submit(cluster, spec(rates=PIECES[:4], max_steps=6, policy=ERRATIC))
    return cluster


def fail(cluster: StoredCluster) -> None:
    for wanted in cluster.consultations_wanted():
        cluster.tell(FailPolicy(study=wanted.study, number=wanted.number, reason="it's \x00 slow"))


@pytest.mark.parametrize("seed", range(3))
def test_a_study_with_its_own_policy_comes_back_at_any_moment(store: Store, seed: int) -> None:
    """1. Answers, failures, pauses, words on trials and restarts in random order. 2. The rows tell all of it."""
    cluster = running(store, seed, commands=3)
    chosen = random.Random(seed)
    for moment in range(24):
        for _ in range(8):
            if cluster.engine.state.active:
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
                cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=6 + moment // 8))
            case 4:
                trial = chosen.randrange(len(the_study(cluster).trials))
                cluster.tell(StopTrial(project=PROJECT, name="study", trial=trial))
            case 5:
                cluster.fail_training("a")
                cluster.tell(RetryTrials(project=PROJECT, name="study"))
            case 6:
                cluster.lose_policies()
        cluster.expect_equal_from_rows()
        if the_study(cluster).state is StudyState.PAUSED:
            cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")
    expect_the_same_decisions(cluster)


def test_a_policy_that_was_given_up_stays_so_until_it_is_asked_anew(store: Store) -> None:
    """1. All tries fail. 2. The server restarts: nothing is asked. 3. Resumed, in one batch with a failure and an
    answer; the failures of the next answer are counted from none."""
    cluster = running(store)
    for _ in range(TRIES):
        fail(cluster)
    cluster.restart_server()
    assert the_study(cluster).state is StudyState.PAUSED
    assert cluster.consultations_wanted() == []
    cluster.commands = 100
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    fail(cluster)
    (wanted,) = cluster.consultations_wanted()
    assert wanted.failures == 1
    cluster.expect_equal_from_rows()
    cluster.ask(wanted.study)
    cluster.answer(wanted.study)
    cluster.expect_equal_from_rows()
    cluster.restart_server()
    assert the_study(cluster).policy_failures == 0
    cluster.run()
    assert the_study(cluster).state in {StudyState.COMPLETED, StudyState.FAILED}


def test_a_deleted_study_leaves_nothing_of_its_policy(store: Store) -> None:
    cluster = running(store)
    fail(cluster)
    for _ in range(40):
        cluster.act()
    cluster.tell(PauseStudy(project=PROJECT, name="study"))
    cluster.tell(DeleteStudy(project=PROJECT, name="study"))
    cluster.expect_equal_from_rows()
    with store._database.transaction() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM policy_answers) + (SELECT count(*) FROM policy_failures)"
        )
        assert cursor.fetchone() == (0,)
