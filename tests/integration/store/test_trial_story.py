"""What the rows tell of a trial agrees with what happened, read off all events one by one."""

from __future__ import annotations

import random

import pytest

from hippo_core import policies
from hippo_core.engine.events import (
    CheckpointLost,
    Event,
    LeaseBlocked,
    LeaseGranted,
    PathFailed,
    RequestClosed,
    RequestOpened,
    StepsTrained,
    TrialCreated,
    TrialLimited,
    TrialStateChanged,
)
from hippo_core.engine.explanation import TrialStory, explain
from hippo_core.engine.states import RequestState
from hippo_core.engine.trial_detail import trial_path
from hippo_core.probes import number_of
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.probing import known, scouts
from tests.unit.engine.cluster import alone
from tests.unit.engine.test_cluster import PIECES, spec, submit
from tests.unit.engine.test_populations import made

OF_TRIALS = (TrialCreated, TrialLimited, TrialStateChanged, RequestOpened, RequestClosed)


def read(cluster: StoredCluster, name: str, trial: int) -> TrialStory:
    path = trial_path(cluster.engine, "default", name, trial)
    nodes = [each.node for each in path.path]
    return TrialStory(
        study=path.study,
        trial=trial,
        spec=path.spec,
        names=path.names,
        path=path.path,
        told=cluster.store.trial_events(path.study, trial, nodes, path.ancestors),
        trained=cluster.store.trained_in(nodes),
        measured=path.measured,
        probes=path.probes,
        probed=cluster.store.probe_events(
            path.study, [number_of(trial, probe.probe) for probe in path.probes]
        ),
    )


@pytest.fixture(params=range(3))
def cluster(request: pytest.FixtureRequest, store: Store) -> StoredCluster:
    """Two studies that overlap, under ASHA, with deaths, failures and restarts, to their ends."""
    made = StoredCluster(request.param, {"a": 2, "b": 1}, store, 3)
    chosen = random.Random(request.param)
    policy = policies.asha(min_steps=1, reduction_factor=3)
    submit(made, spec("first", PIECES[:3], policy=policy))
    for moment in range(8):
        for _ in range(20):
            made.act()
        chosen.choice([made.fail_training, made.kill_worker, made.kill_runner, made.lose_worker])("a")
        made.hold_up_save("b")
        made.lose_checkpoint()
        if moment == 3:
            submit(made, spec("second", PIECES, policy=policy))
        if moment % 3 == 2:
            made.restart_server()
    made.run()
    made.write()
    return made


def befalls(event: Event, nodes: set[int], fences: set[int]) -> bool:
    """Whether an event is what befell a path of these nodes, or the leases that train them."""
    if isinstance(event, LeaseBlocked):
        return event.fence in fences
    return isinstance(event, PathFailed | CheckpointLost) and event.node in nodes


def test_a_trial_s_events_are_all_of_its_own_and_the_failures_on_its_path(cluster: StoredCluster) -> None:
    for name in ("first", "second"):
        for number in range(3):
            story = read(cluster, name, number)
            nodes = {each.node for each in story.path}
            created = next(
                place
                for place, event in enumerate(cluster.journal)
                if isinstance(event, TrialCreated) and (event.study, event.trial) == (story.study, number)
            )
            through = {
                event.fence
                for event in cluster.journal
                if isinstance(event, LeaseGranted) and nodes & {node for node, _, _ in event.stages}
            }
            expected = [
                (place + 1, event)
                for place, event in enumerate(cluster.journal)
                if (isinstance(event, OF_TRIALS) and (event.study, event.trial) == (story.study, number))
                or (place > created and befalls(event, nodes, through))
            ]
            assert [(told.position, told.event) for told in story.told] == expected


def test_what_was_trained_of_a_path_is_told_step_by_step(cluster: StoredCluster) -> None:
    for name in ("first", "second"):
        for number in range(0, 18, 5):
            story = read(cluster, name, number)
            nodes = {each.node for each in story.path}
            expected = sorted(
                (event.fence, event.node, step)
                for event in cluster.journal
                if isinstance(event, StepsTrained) and event.node in nodes
                for step in range(event.start, event.stop)
            )
            told = sorted(
                (each.fence, each.node, step)
                for each in story.trained
                for step in range(each.start, each.stop)
            )
            assert told == expected


def test_requests_tell_how_much_was_there(cluster: StoredCluster) -> None:
    trained: dict[int, int] = {}
    checked = 0
    for event in cluster.journal:
        if isinstance(event, StepsTrained):
            trained[event.node] = max(trained.get(event.node, 0), event.stop)
        if isinstance(event, RequestOpened):
            nodes = cluster.engine.state.nodes[event.node].path()
            stops = [*(each.start for each in nodes[1:]), event.step]
            there = [min(trained.get(each.id, 0), stop) for each, stop in zip(nodes, stops, strict=True)]
            assert event.trained == max(there)
            checked += event.trained > 0
    assert checked


def test_an_explanation_tells_every_request_value_and_reason(cluster: StoredCluster) -> None:
    for name in ("first", "second"):
        study = cluster.engine.state.study_named("default", name)
        assert study is not None
        for number, trial in study.trials.items():
            found = explain(read(cluster, name, number))
            values = alone([trial.sequence.values(step) for step in range(9)], 1)
            reached = [(each.step, each.reason) for each in found if each.event == "reached"]
            assert reached == [
                (event.step, f"accuracy {values[event.step]:.6g}")
                for event in cluster.journal
                if isinstance(event, RequestClosed)
                and (event.study, event.trial, event.state) == (study.id, number, RequestState.REACHED)
            ]
            # When it has ended long since, others may train its steps again, and be held up with a save of them, and a
            # state of it may be lost.
            own = [
                each
                for each in found
                if each.event not in ("trained", "blocked", "saved again", "checkpoint lost")
            ]
            assert own[-1].reason == trial.reason
            told = {step for each in found if each.event == "trained" for step in steps_of(each.reason)}
            assert told >= set(range(trial.reached))


def steps_of(reason: str) -> range:
    words = reason.split(";")[0].split()
    return range(int(words[1]), int(words[3]))


def test_probes_are_told_with_the_trial_and_are_none_of_its_requests(store: Store) -> None:
    cluster = StoredCluster(0, {"a": 2}, store, 3)
    with known():
        submit(cluster, spec(rates=PIECES[:2], policy=scouts(steps=2)))
        cluster.run()
    cluster.write()
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    for number in study.trials:
        events = explain(read(cluster, "study", number))
        (probe,) = study.probes_of(number)
        asked, came = (each for each in events if each.event in {"probe", "probed"})
        assert (asked.step, asked.by) == (3, "policy scouts")
        assert asked.reason == "from step 3 to 5 at lr x 0.1: how good is it?"
        assert came.step == 5
        assert came.reason == f"from step 3 to 5 at lr x 0.1: accuracy {probe.value:.6g}"
        reached = [each.step for each in events if each.event == "reached"]
        assert reached == [3, 9] if study.trials[number].reached == 9 else [3]


def test_a_fork_of_a_policy_is_told_with_its_ancestors(store: Store) -> None:
    """The chain of who was forked from whom, with ranks and values, as the journal has it."""
    cluster = StoredCluster(0, {"a": 2}, store, 3)
    submit(cluster, made(policies.pbt(2, 0.5)))
    cluster.run()
    cluster.write()
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    paths = {number: trial_path(cluster.engine, "default", "study", number) for number in study.trials}
    last = max(paths, key=lambda number: len(paths[number].ancestors))
    path = paths[last]
    assert len(path.ancestors) > 1
    found = [each for each in explain(read(cluster, "study", last)) if each.event in {"ancestor", "created"}]
    assert len(found) == len(path.ancestors) + 1
    for happening, number in zip(found, [*reversed(path.ancestors), last], strict=True):
        fork = study.trials[number].fork
        if fork is None:
            assert (happening.step, happening.by) == (None, "sampler random")
        else:
            assert (happening.step, happening.by) == (fork["at"], "policy pbt")
            words = f"forked from trial {fork['trial']} in place of trial {fork['instead_of']}: rank "
            assert words in happening.reason
            assert " -> " in happening.reason
