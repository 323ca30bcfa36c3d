"""A study's archive, made of a journal: what ``hippo_server.store.load.load_study`` makes of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hippo_core.engine import events as ev
from hippo_core.engine import fold
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study import Study


def study_events(journal: Iterable[ev.Event], number: int) -> list[ev.Event]:
    """The events of a study's archive, in the order in which rows give them."""
    events, state = list(journal), EngineState()
    for event in events:
        fold.apply(state, event)
    return list(_events(events, state, state.studies[number]))


def _events(journal: list[ev.Event], state: EngineState, study: Study) -> Iterator[ev.Event]:
    own = [event for event in journal if getattr(event, "study", None) == study.id]
    moved = _last_nodes(own)
    wanted = {event.node for event in moved.values()}
    nodes = {each.id for node in wanted for each in state.nodes[node].ancestry()}
    plan = state.plans[study.plan]
    yield ev.PlanCreated(
        plan=plan.id, project=plan.project, program_key=plan.program_key, environment=plan.environment
    )
    yield next(event for event in own if isinstance(event, ev.StudySubmitted))
    yield ev.StudyPlanned(study=study.id, plan=study.plan, bound=study.bound)
    about = [event for event in journal if getattr(event, "node", None) in nodes]
    yield from (event for event in about if isinstance(event, ev.NodeCreated))
    yield from (event for event in about if isinstance(event, ev.StepsTrained))
    for event in about:
        kept = state.nodes[event.node].checkpoints if isinstance(event, ev.CheckpointPublished) else {}
        if isinstance(event, ev.CheckpointPublished) and event.fence in kept.get(event.step, {}):
            yield event
    yield from (event for event in about if isinstance(event, ev.MetricsRecorded | ev.NodeNotReproducible))
    for (node, step), studies in sorted(state.pins.items()):
        if study.id in studies and node in nodes:
            yield ev.CheckpointPinned(study=study.id, node=node, step=step)
    told = (ev.StudyChanged, ev.TrialCreated, ev.TrialLimited, ev.TrialStopped, ev.RequestClosed)
    for place, event in enumerate(own):
        if isinstance(event, told):
            yield event
        elif place in moved:
            yield moved[place]
    if study.proposal is not None:
        wanted_point = study.proposal
        yield ev.ProposalWanted(
            study=study.id,
            trial=wanted_point.trial,
            sequence=wanted_point.sequence,
            pending=wanted_point.pending,
            max_steps=wanted_point.max_steps,
        )
        if wanted_point.failures:
            yield ev.ProposalFailed(
                study=study.id,
                trial=wanted_point.trial,
                failures=wanted_point.failures,
                reason=wanted_point.reason,
            )
    yield from (event for event in own if isinstance(event, ev.PolicyAnswered))
    yield from _states(study, own)


def _last_nodes(own: list[ev.Event]) -> dict[int, ev.RequestOpened]:
    """By place of its opening: each request, on the node to which it was moved last."""
    found: dict[int, ev.RequestOpened] = {}
    opened: dict[int, int] = {}
    for place, event in enumerate(own):
        if isinstance(event, ev.RequestOpened):
            earlier = found.get(opened.get(event.trial, -1))
            if earlier is not None and (earlier.step, earlier.by_user) == (event.step, event.by_user):
                found[opened[event.trial]] = event
                continue
            opened[event.trial], found[place] = place, event
        elif isinstance(event, ev.RequestClosed):
            opened.pop(event.trial, None)
    return found


def _states(study: Study, own: list[ev.Event]) -> Iterator[ev.Event]:
    for trial in study.branches():
        if trial.wanted:
            yield ev.TrialWanted(study=study.id, trial=trial.number, step=trial.wanted)
    for trial in study.branches():
        if (trial.state, trial.reason) != (TrialState.WAITING, ""):
            yield ev.TrialStateChanged(
                study=study.id, trial=trial.number, state=trial.state, reason=trial.reason
            )
    if study.ran_seconds:
        yield ev.StudyRan(study=study.id, seconds=study.ran_seconds)
    yield ev.StudyCredited(
        study=study.id,
        project=study.project,
        user=study.user,
        steps_trained=study.steps_trained,
        steps_retrained=study.steps_retrained,
        seconds=study.seconds,
        billed=study.billed,
        billed_gpus=study.billed_gpus,
        passed=0,
        project_passed=0,
    )
    if study.exhausted:
        yield ev.SpaceExhausted(study=study.id, points=study.exhausted)
    if (study.state, study.reason) != (StudyState.RUNNING, ""):
        yield ev.StudyStateChanged(study=study.id, state=study.state, reason=study.reason)
    judged = [each for each in own if isinstance(each, ev.JudgementWanted)][-1:]
    yield from judged
    if study.ending:
        yield ev.EndingHeld(study=study.id, ending=study.ending, reason=study.ending_reason)
