"""What the engine decides comes back from the rows as it was."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from hippo_core import policies
from hippo_core.engine.commands import (
    ChangeAccount,
    CollectCheckpoints,
    Command,
    CordonSlots,
    CreateProject,
    DeleteProject,
    DeleteStudy,
    DrainWorker,
    EditStudy,
    EnqueueTrial,
    ExtendStudy,
    ExtendTrial,
    ForgetProgram,
    ForkTrial,
    PauseStudy,
    PinCheckpoint,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
    UncordonSlots,
    UnpinCheckpoints,
)
from hippo_core.engine.events import StepsTrained
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.errors import HippoError
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.cluster import SETTINGS
from tests.unit.engine.test_cluster import PIECES, POINTS, expect_as_trained_alone, spec, submit


@pytest.mark.parametrize("commands", [1, 7, 100])
def test_a_study_comes_back_at_any_moment(store: Store, commands: int) -> None:
    """1. ASHA on two workers. 2. At many moments the rows are read back. 3. All is as in the engine that lived."""
    cluster = StoredCluster(3, {"a": 2, "b": 1}, store, commands)
    submit(cluster, spec(policy=policies.asha(min_steps=1, reduction_factor=3), checkpoint_every=2))
    for _ in range(25):
        for _ in range(12):
            cluster.act()
        cluster.expect_equal_from_rows()
    cluster.run()
    cluster.expect_equal_from_rows()
    assert study_view(cluster.engine, "default", "study").state is StudyState.COMPLETED


def key_of(cluster: StoredCluster, name: str) -> str:
    """The key of a study's program; that of none where there is no such study."""
    study = cluster.engine.state.study_named("default", name)
    return "none" if study is None else study.program_key


@pytest.mark.parametrize("seed", range(6))
def test_all_commands_and_faults_come_back(store: Store, seed: int) -> None:
    """1. Studies, users' commands and faults in random order. 2. The server restarts from the rows now and then."""
    settings = replace(SETTINGS, checkpoint_budget=8 if seed % 2 else None)
    cluster = StoredCluster(seed, {"a": 2, "b": 1}, store, 3, settings)
    chosen = random.Random(seed)
    names = ["first", "second", "third"]
    commands: list[Callable[[str], Command]] = [
        lambda name: PauseStudy(project="default", name=name),
        lambda name: ResumeStudy(project="default", name=name),
        lambda name: ExtendStudy(project="default", name=name, max_steps=chosen.randrange(9, 14), priority=1),
        lambda name: edited(cluster, name, chosen),
        lambda name: StopStudy(project="default", name=name),
        lambda name: RetryTrials(project="default", name=name),
        lambda name: ForkTrial(
            project="default",
            name=name,
            trial=chosen.randrange(8),
            at=chosen.randrange(10),
            hyperparameters={"lr": chosen.choice([0.1, 0.01])},
        ),
        lambda name: EnqueueTrial(project="default", name=name, point=chosen.choice(POINTS)),
        lambda name: StopTrial(project="default", name=name, trial=chosen.randrange(6)),
        lambda name: ExtendTrial(
            project="default", name=name, trial=chosen.randrange(6), to=chosen.randrange(1, 16)
        ),
        lambda name: PinCheckpoint(project="default", name=name),
        lambda name: PinCheckpoint(project="default", name=name, trial=chosen.randrange(8)),
        lambda name: UnpinCheckpoints(project="default", name=name, trial=chosen.randrange(8)),
        lambda name: CollectCheckpoints(project="default", name=name, to_bytes=chosen.randrange(5)),
        lambda name: DeleteStudy(project="default", name=name),
        lambda name: ForgetProgram(project="default", key=key_of(cluster, name)),
        lambda _: DrainWorker(worker="b"),
        lambda _: CordonSlots(worker=chosen.choice("ab"), slot=0, reason="a fan"),
        lambda _: UncordonSlots(worker=chosen.choice("ab")),
    ]
    faults = [
        lambda: cluster.kill_worker("a"),
        lambda: cluster.lose_worker("b"),
        lambda: cluster.lose_worker("a"),
        lambda: cluster.kill_runner("a"),
        lambda: cluster.run_out_of_memory("a"),
        lambda: cluster.stall("a"),
        lambda: cluster.fail_health("a"),
        lambda: cluster.recover("a"),
        lambda: cluster.lose_storage("a"),
        lambda: cluster.find_storage("a"),
        cluster.lose_checkpoint,
        lambda: cluster.hold_up_save("a"),
        lambda: cluster.register("b"),
    ]
    for name in names:
        for _ in range(8):
            submit_or_refuse(cluster, name, chosen)
            for _ in range(12):
                cluster.act()
            chosen.choice(faults)()
            with contextlib.suppress(HippoError):  # a command that the study's state forbids changes nothing
                cluster.tell(chosen.choice(commands)(chosen.choice(names)))
            cluster.expect_equal_from_rows()
        cluster.restart_server()
    cluster.write()
    assert [entry.event for entry in store.journal()] == cluster.journal


def edited(cluster: StoredCluster, name: str, chosen: random.Random) -> Command:
    """Another policy, or another space; of a study that is not there, what is refused."""
    study = cluster.engine.state.study_named("default", name)
    if study is None:
        return StopStudy(project="default", name=name)
    changes = [
        replace(
            study.spec, policy=chosen.choice([policies.sha(1, 3), policies.full(), policies.patience(2)])
        ),
        replace(spec(name, PIECES[-chosen.randrange(1, 4) :]), policy=study.spec.policy, checkpoint_every=3),
    ]
    return EditStudy(project="default", name=name, spec=chosen.choice(changes))


def submit_or_refuse(cluster: StoredCluster, name: str, chosen: random.Random) -> None:
    policy = policies.asha(min_steps=2, reduction_factor=2) if name == "second" else policies.full()
    rates = PIECES[: chosen.randrange(2, 5)]
    with contextlib.suppress(HippoError):  # it exists with other content
        submit(cluster, spec(name, rates, policy=policy, checkpoint_every=3))


def test_training_ends_exactly_after_restarts_from_rows(store: Store) -> None:
    cluster = StoredCluster(11, {"a": 1, "b": 1}, store, 4)
    submit(cluster, spec(checkpoint_every=2))
    for _ in range(5):
        for _ in range(60):
            cluster.act()
        cluster.restart_server()
    cluster.run()
    expect_as_trained_alone(cluster, "study")


def test_a_pin_comes_back_until_it_is_taken_back(store: Store) -> None:
    """1. A state is pinned, unpinned, and pinned again. 2. Each time the rows tell. 3. Its study is deleted."""
    cluster = StoredCluster(0, {"a": 1}, store)
    submit(cluster, spec("kept", PIECES[:1]))
    submit(cluster, spec("deleted", PIECES[:1]))
    cluster.run()
    for name in ("kept", "deleted", "kept"):
        cluster.tell(PinCheckpoint(project="default", name=name, trial=0))
        cluster.restart_server()
        if name == "kept":
            cluster.tell(UnpinCheckpoints(project="default", name=name))
            cluster.restart_server()
    assert len(cluster.engine.state.pins) == 1
    cluster.tell(DeleteStudy(project="default", name="deleted"))
    cluster.restart_server()
    assert cluster.engine.state.pins == {}


def test_numbers_are_never_given_twice_when_the_latest_study_is_deleted(store: Store) -> None:
    cluster = StoredCluster(1, {"a": 1}, store)
    submit(cluster, spec("kept", PIECES[:1]))
    cluster.run()
    submit(cluster, spec("deleted", PIECES[:2], seed=1))
    cluster.run()
    cluster.tell(DeleteStudy(project="default", name="deleted"))
    cluster.expect_equal_from_rows()
    cluster.restart_server()
    submit(cluster, spec("deleted", PIECES[:1], seed=1))
    cluster.run()
    cluster.expect_equal_from_rows()
    assert cluster.engine.state.studies[3].steps_trained > 0, "what was trained went with its last study"


@pytest.mark.parametrize("seed", range(2))
def test_users_of_several_projects_their_bills_and_turns_come_back(store: Store, seed: int) -> None:
    """1. Three users submit, with weights and limits. 2. A study is deleted, a project forgotten and made anew.
    3. At many moments the rows give the engine that lived; what is billed is what was trained."""
    cluster = StoredCluster(seed, {"a": 2, "b": 1}, store, 5)
    owners = [("default", "ada"), ("default", "bo"), ("other", "cy")]
    for number, (project, user) in enumerate(owners):
        cluster.tell(CreateProject(project=project))
        cluster.tell(ChangeAccount(project=project, user="", changes={"weight": 2.0, "max_slots": 2}))
        cluster.tell(ChangeAccount(project=project, user=user, changes={"weight": number + 0.5}))
        submitted = spec(f"{user}s", PIECES[number : number + 3])
        cluster.tell(SubmitStudy(project=project, user=user, spec=submitted))
    for _ in range(12):
        for _ in range(40):
            if cluster.engine.state.active:
                cluster.act()
        cluster.expect_equal_from_rows()
    cluster.run()
    cluster.tell(DeleteStudy(project="other", name="cys"))
    cluster.expect_equal_from_rows()
    cluster.tell(DeleteProject(project="other"))
    cluster.expect_equal_from_rows()
    cluster.tell(SubmitStudy(project="other", user="cy", spec=spec("cys")))
    cluster.tell(DeleteStudy(project="default", name="bos"))
    cluster.run()
    cluster.restart_server()
    trained = sum(
        round((each.train_seconds + each.evaluate_seconds) * 1_000_000)
        for each in cluster.journal
        if isinstance(each, StepsTrained)
    )
    with store._database.transaction() as cursor:
        cursor.execute("SELECT sum(slot_microseconds) FROM bills")
        assert cursor.fetchone() == (trained,)
