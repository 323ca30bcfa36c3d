"""What must hold of a world at its end, beside what its witness has seen go wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator

from hippo_core.engine.commands import SubmitStudy, Tick
from hippo_core.engine.engine import Engine
from hippo_core.engine.invariants import check
from hippo_core.engine.snapshot import snapshot
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState, TrialState, WorkerState
from hippo_core.engine.study import Study
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import trial_views
from tests.simulation.servers import SETTINGS
from tests.simulation.world import World
from tests.unit.engine.cluster import Cluster, alone


def judge(world: World) -> None:
    """Reports to the witness what does not hold, whether or not all has ended."""
    world.witness.expect_all_whole()
    _expect_acknowledged_changes(world)
    engine = _rebuilt(world)
    for study in world.database.state.studies.values():
        _expect_as_trained_alone(world, engine, study)


def _expect_acknowledged_changes(world: World) -> None:
    """I1: what a user was told has happened is in the database, with that answer."""
    for each in world.users.acknowledged:
        kept = world.database.answers.get(each.request.request_id)
        if kept is None or type(each.response).FromString(kept.answer) != each.response:
            world.witness.report(f"I1: {each.method} {each.request.request_id} was acknowledged, and is lost")


def _rebuilt(world: World) -> Engine:
    """An engine from the journal, which equals what was committed, and in which the engine's own invariants hold."""
    events = [entry.event for entry in world.database.journal]
    engine = Engine.restore(events, SETTINGS, 0.0)
    if engine.snapshot() != snapshot(world.database.state):
        world.witness.report("I6: rebuilt from the journal the engine is another")
    try:
        engine.handle(Tick(), 0.0)
        check(engine)
    except Exception as error:  # noqa: BLE001 - whatever it stumbles over, what was committed contradicts itself
        world.witness.report(f"I5: {error!r}")
    engine.state = world.database.state
    return engine


def _expect_as_trained_alone(world: World, engine: Engine, study: Study) -> None:
    """I7, I9: each history has every step up to the last one, once, and is what training alone gives."""
    program = study.spec.program
    for number, trial in study.trials.items():
        detail = trial_detail(engine, study.project, study.name, number)
        expected = alone(list(detail.values), program.evaluate_every, program.seed)
        found = [(each.step, each.metrics["accuracy"]) for each in detail.history]
        if found != sorted(expected.items()):
            world.witness.report(f"I7, I9: trial {study.name}/{number} has {found}, alone {expected}")
        if trial.state in {TrialState.FAILED, TrialState.DIVERGED}:
            world.witness.report(f"I9: trial {study.name}/{number} is {trial.state}: {trial.reason}")


def all_has_ended(world: World) -> bool:
    """Whether every user has an answer, and every study has ended."""
    state = world.database.state
    return (
        not world.users.open
        and len(state.studies) == len(world.users.studies)
        and all(study.state in ENDED_STUDY_STATES for study in state.studies.values())
    )


def judge_ended(world: World, bound_seconds: float) -> None:
    """Reports what has not ended, and what has ended otherwise than it would have without faults."""
    state = world.database.state
    if not all_has_ended(world):
        rest = [
            (study.name, study.state.value, [trial.state.value for trial in study.trials.values()])
            for study in state.studies.values()
            if study.state not in ENDED_STUDY_STATES
        ]
        leases = [(lease.fence, lease.worker, lease.state.value) for lease in state.leases.values()]
        open_ones = f"{rest}, leases {leases}, {world.users.open} users wait"
        world.witness.report(f"I5: {bound_seconds} s after the last fault {open_ones}")
        return
    for study in _untouched(world):
        expected = _without_faults(world, study)
        found = {number: (trial.state, trial.reached) for number, trial in study.trials.items()}
        if found != expected:
            world.witness.report(f"I9: {study.name} ended as {found}, without faults as {expected}")


def _untouched(world: World) -> Iterator[Study]:
    """Studies that nobody changed, of policies that do not depend on the order of arrival."""
    touched = {request.name for request in world.users.asked if not hasattr(request, "spec_json")}
    for study in world.database.state.studies.values():
        if study.name not in touched and study.spec.policy.name in {"full", "sha"}:
            yield study


def _without_faults(world: World, study: Study) -> dict[int, tuple[TrialState, int]]:
    cluster = Cluster(world.seed, {"a": 2})
    cluster.tell(SubmitStudy(project="default", user="u", spec=study.spec))
    cluster.run()
    reference = cluster.engine.state.study_named("default", study.name)
    assert reference is not None
    return {number: (trial.state, trial.reached) for number, trial in reference.trials.items()}


def expect_reasons(world: World) -> None:
    """I5: where a slot is free, nothing waits without a reason."""
    for server in world.servers:
        term = None if server.driver is None else server.driver._term
        if term is None or term.over:
            continue
        engine = term.engine
        workers = [each for each in engine.state.workers.values() if each.state is WorkerState.LIVE]
        if not any(slot.fence is None for worker in workers for slot in worker.slots.values()):
            return
        for study in engine.state.studies.values():
            leased = any(lease.plan == study.plan for lease in engine.state.leases.values())
            if study.state is not StudyState.RUNNING or leased or not study.open:
                continue
            reasons = [study_view(engine, study.project, study.name).reason]
            reasons += [trial.reason for trial in trial_views(engine, study.project, study.name)]
            if not any(reasons):
                world.witness.report(f"I5: {study.name} waits, and nothing says why")


def expect_servers(world: World) -> None:
    """I5: every server answers, or has said that it stands by."""
    for server in world.servers:
        reasons = server.reasons()
        if reasons and server.process.name not in world.database.standbys:
            world.witness.report(f"I5: {server.process.name} neither leads nor stands by: {reasons}")
