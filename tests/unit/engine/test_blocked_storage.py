"""A storage that a worker cannot save to, or cannot read: it is given nothing else until that goes again."""

from __future__ import annotations

import pytest

from hippo_core import policies, samplers, space
from hippo_core.engine.commands import ReportStorage, SaveBlockedReport, SaveFailedReport, SubmitStudy
from hippo_core.engine.events import LeaseBlocked, LeaseGranted, PathFailed, WorkerBlocked
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.worker_views import worker_views
from hippo_core.errors import Stale
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster, Running, SimulatedWorker

WORDS = "The storage failed: writing checkpoints: no answer."
BLOCKED = f"blocked: storage: worker a: {WORDS}"


def submit(cluster: Cluster, name: str = "study", seed: int = 0) -> None:
    """Four trials that share nothing, each saved after every third step."""
    searched = space.Space({"lr": space.choice([0.1, 0.2, 0.3, 0.4])})
    spec = StudySpec(
        name=name,
        space=searched,
        objectives=(Objective(metric="accuracy", maximize=True),),
        max_trials=4,
        max_steps=9,
        sampler=samplers.grid(),
        policy=policies.full(),
        program=Program(trainer="t:T", code_digest="c", seed=seed, evaluate_every=1, kinds=searched.kinds),
        checkpoint_every=3,
    )
    cluster.tell(SubmitStudy(project="default", user="u", spec=spec))


def running(cluster: Cluster, name: str) -> tuple[SimulatedWorker, list[Running]]:
    """What a worker trains now."""
    worker = cluster.workers[name]
    cluster.receive(worker)
    return worker, [each for each in worker.running.values() if not each.done]


def train_to_a_save(cluster: Cluster, worker: SimulatedWorker, path: Running) -> tuple[int, int]:
    """Trains until a state waits to be published, and gives it."""
    while not path.spool:
        cluster.train(worker, path)
    cluster.report(worker, path)
    return next(iter(path.spool))


def hold_up(cluster: Cluster, worker: SimulatedWorker, path: Running, state: tuple[int, int]) -> None:
    """Says that a save is held up."""
    path.tell(SaveBlockedReport(node=state[0], step=state[1], reason=WORDS))
    cluster.report(worker, path)


def reason(cluster: Cluster) -> str:
    return study_view(cluster.engine, "default", "study").reason


def expect_nothing_trained_again(cluster: Cluster) -> None:
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    assert study.state is StudyState.COMPLETED
    assert (study.steps_trained, study.steps_retrained) == (4 * 9, 0)


def granted_to(cluster: Cluster, name: str) -> int:
    return sum(isinstance(event, LeaseGranted) and event.worker == name for event in cluster.journal)


def test_a_worker_that_cannot_save_trains_on_and_is_granted_nothing_until_a_save_gets_through() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster)
    worker, (path, other) = running(cluster, "a")
    state = train_to_a_save(cluster, worker, path)
    hold_up(cluster, worker, path, state)
    assert reason(cluster) == BLOCKED
    assert [view.blocked for view in worker_views(cluster.engine)] == [WORDS]
    while not path.done:
        cluster.train(worker, path)
    while not other.done:
        cluster.train(worker, other)
    for each in (path, other):
        cluster.report(worker, each)
    assert granted_to(cluster, "a") == 2, "its slots are free, and other trials wait"
    assert not any(isinstance(event, PathFailed) for event in cluster.journal)
    cluster.publish(path)
    cluster.report(worker, path)
    assert reason(cluster) == ""
    assert granted_to(cluster, "a") == 4
    cluster.run()
    expect_nothing_trained_again(cluster)


def test_other_workers_go_on() -> None:
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster)
    worker, (path,) = running(cluster, "a")
    hold_up(cluster, worker, path, train_to_a_save(cluster, worker, path))
    assert reason(cluster) == BLOCKED
    while not path.done:
        cluster.train(worker, path)
    cluster.report(worker, path)
    other, (theirs,) = running(cluster, "b")
    while not theirs.done:
        cluster.train(other, theirs)
    cluster.report(other, theirs)
    assert granted_to(cluster, "a") == 1
    assert granted_to(cluster, "b") == 2


def test_the_same_words_are_told_once_and_others_again() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster)
    worker, (path,) = running(cluster, "a")
    state = train_to_a_save(cluster, worker, path)
    for _ in range(3):
        hold_up(cluster, worker, path, state)
    path.tell(SaveBlockedReport(node=state[0], step=state[1], reason="The storage is full."))
    cluster.report(worker, path)
    told = [event.reason for event in cluster.journal if isinstance(event, LeaseBlocked)]
    assert told == [WORDS, "The storage is full."]


def test_a_save_that_is_given_up_leaves_the_worker_blocked_while_its_lease_stands() -> None:
    """Others may train for what waited for the state; this worker has still nothing to save to."""
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster)
    worker, (path,) = running(cluster, "a")
    state = train_to_a_save(cluster, worker, path)
    hold_up(cluster, worker, path, state)
    path.tell(SaveFailedReport(node=state[0], step=state[1], reason=WORDS))
    cluster.report(worker, path)
    assert reason(cluster) == BLOCKED
    assert cluster.engine.state.leases[path.order.fence].blocked == WORDS


def test_a_study_that_only_blocked_workers_could_train_says_so() -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster)
    worker, (path,) = running(cluster, "a")
    hold_up(cluster, worker, path, train_to_a_save(cluster, worker, path))
    submit(cluster, "other", seed=1)
    assert study_view(cluster.engine, "default", "other").reason == BLOCKED
    cluster.run()
    assert study_view(cluster.engine, "default", "other").state is StudyState.COMPLETED


def blocked_cluster() -> Cluster:
    """A worker with two paths, of which one is held up."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster)
    worker, (path, _) = running(cluster, "a")
    hold_up(cluster, worker, path, train_to_a_save(cluster, worker, path))
    return cluster


def test_a_rebuilt_server_knows_who_is_blocked() -> None:
    cluster = blocked_cluster()
    cluster.restart_server()
    assert reason(cluster) == BLOCKED
    cluster.run()
    expect_nothing_trained_again(cluster)


def unread(cluster: Cluster) -> list[str]:
    """What is told of workers that cannot read, one after the other."""
    return [event.reason for event in cluster.journal if isinstance(event, WorkerBlocked)]


def test_a_worker_that_cannot_read_is_granted_nothing_until_it_can() -> None:
    """1. A path cannot be loaded. 2. It is tried no more there; that is no trial's fault. 3. The storage answers."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster)
    running(cluster, "a")
    cluster.say_of_storage("a", WORDS)
    cluster.kill_runner("a")
    worker, (other,) = running(cluster, "a")
    while not other.done:
        cluster.train(worker, other)
    for path in list(worker.running.values()):
        cluster.report(worker, path)
    assert granted_to(cluster, "a") == 2, "its slots are free, and paths wait"
    assert reason(cluster) == BLOCKED
    assert [view.blocked for view in worker_views(cluster.engine)] == [WORDS]
    cluster.restart_server()
    assert reason(cluster) == BLOCKED, "it is the same life of the worker"
    assert granted_to(cluster, "a") == 2
    cluster.find_storage("a")
    assert granted_to(cluster, "a") > 2
    assert [view.blocked for view in worker_views(cluster.engine)] == [""]
    cluster.run()
    expect_nothing_trained_again(cluster)


def test_other_workers_load_what_one_cannot_read() -> None:
    cluster = Cluster(0, {"a": 1, "b": 1})
    submit(cluster)
    running(cluster, "a")
    cluster.say_of_storage("a", WORDS)
    cluster.kill_runner("a")
    cluster.run()
    expect_nothing_trained_again(cluster)
    assert granted_to(cluster, "a") == 1


def test_what_is_said_again_of_a_storage_changes_nothing_and_another_life_begins_anew() -> None:
    cluster = Cluster(0, {"a": 1})
    for words in ("", WORDS, "The storage is full.", "", ""):
        cluster.say_of_storage("a", words)
    assert unread(cluster) == [WORDS, ""]
    cluster.say_of_storage("a", WORDS)
    cluster.kill_worker("a")
    assert [view.blocked for view in worker_views(cluster.engine)] == [""]
    with pytest.raises(Stale, match="not registered"):
        cluster.tell(ReportStorage(worker="a", incarnation="1", failure=WORDS))
