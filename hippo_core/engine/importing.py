"""Bringing a study in from another server, with its part of the search plan.

In two commands. First places are found for the files of its checkpoints: in the plan of its program and environment,
which is made where there is none, with the nodes that lack; they are written under a number that is given to no lease.
Nobody sees anything of that. Once all files are durable, the study comes as a whole: its events are told again, with
the numbers that things have here, after what was trained of it has been taken into the plan. So an import that is cut
off has brought nothing, and one that is repeated brings what lacks.

A study that ran comes paused, since here it may be trained twice. Who imports it owns it; nobody is billed for what was
trained elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Literal

from hippo_core.engine import events as ev
from hippo_core.engine.accounts import open_accounts
from hippo_core.engine.archive import Archive
from hippo_core.engine.commands.archives import ImportStudy, Place, PlaceArchive
from hippo_core.engine.decision import Decision
from hippo_core.engine.environments import choose_plan, is_over
from hippo_core.engine.evaluations import tell_judged
from hippo_core.engine.merging import Places, merge, place_nodes
from hippo_core.engine.quotas import require_room
from hippo_core.engine.requests import objective_value
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.user_words import IMPORTED
from hippo_core.errors import Conflict
from hippo_core.plan import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import came to.

    Attributes:
        study: The study.
        outcome: Whether it was made, or was there already.
        steps: How many steps it brought that nobody had trained here.
        checkpoints: How many checkpoints it brought.
    """

    study: int
    outcome: Literal["created", "unchanged"]
    steps: int
    checkpoints: int


def place_archive(decision: Decision, command: PlaceArchive) -> Place:
    """Finds the places of an archive's checkpoints."""
    state, archive = decision.state, command.archive
    _require_welcome(state, command.project, command.user, archive)
    if not archive.checkpoints:
        return Place(plan=0, fence=0, nodes={})
    open_accounts(decision, command.project, command.user)
    plan = _plan_of(decision, command.project, archive)
    places = place_nodes(decision, plan, archive)
    wanted = {each: places.owner(each) for each in sorted(archive.checkpoints)}
    lacking = {each: node.id for each, node in wanted.items() if each[1] not in node.checkpoints}
    if lacking:
        coming = sum(archive.checkpoints[each].size_bytes for each in lacking)
        _require_space(state, command.project, coming)
        decision.emit(ev.FencesSkipped(fence=state.last_fence + 1))
    return Place(plan=plan, fence=state.last_fence, nodes=lacking)


def import_study(decision: Decision, command: ImportStudy) -> Imported:
    """Creates the study of an archive, or finds it; takes in what was trained of it."""
    state, archive, place = decision.state, command.archive, command.place
    _require_welcome(state, command.project, command.user, archive)
    if place is not None:
        _require_place(state, command.project, archive, place)
    before = len(decision.events)
    study = state.study_named(command.project, archive.name)
    created = study is None
    if study is None:
        study = _create(decision, command)
    plan = state.plans[study.plan]
    known: list[Node] = []
    if created or plan.environment == archive.environment:
        places = place_nodes(decision, plan.id, archive)
        fence = state.last_fence + 1 if place is None or not command.saved else place.fence
        known = merge(decision, study, command.user, archive, places, command.saved, fence)
        if created:
            _tell(decision, study, archive, places)
    for node in known:
        _look_again_below(state, node)
    brought = decision.events[before:]
    return Imported(
        study=study.id,
        outcome="created" if created else "unchanged",
        steps=sum(event.stop - event.start for event in brought if isinstance(event, ev.StepsTrained)),
        checkpoints=sum(isinstance(event, ev.CheckpointPublished) for event in brought),
    )


def _require_welcome(state: EngineState, project: str, user: str, archive: Archive) -> None:
    """Refuses a study whose name another one has, or for which there is no room.

    Raises:
        Conflict: Says which.
    """
    there = state.study_named(project, archive.name)
    if there is not None:
        lacking = _lacking(there, archive)
        if lacking:
            raise Conflict(
                f"a study named '{archive.name}' exists, and is not the one of the archive: {lacking}.",
                "Give it another name: hippo study import FILE --name NAME.",
            )
        return
    open_ones = archive.study.state not in ENDED_STUDY_STATES
    require_room(
        state,
        project,
        user,
        studies=int(open_ones),
        trials=len(archive.study.open) + archive.study.uncreated * archive.study.spec.trials_of_a_point,
        priority=archive.study.spec.priority if open_ones else None,
    )


def _lacking(there: Study, archive: Archive) -> str:
    """What of an archive's study one of its name does not have, in words; empty: nothing, so it is that study."""
    first = there.former[0] if there.former else there.spec
    if first.to_json() != archive.first_spec.to_json():
        return "it was submitted with other content"
    specs = [each.to_json() for each in (*there.former, there.spec)]
    if archive.study.spec.to_json() not in specs:
        return "it was changed otherwise"
    for trial in archive.study.branches():
        mine = there.probes if trial.probe else there.repeats if trial.repeat else there.trials
        found = mine.get(trial.number)
        if found is None or (found.assignment, found.fork) != (trial.assignment, trial.fork):
            return f"it has another trial {trial.number}"
        if found.reached < trial.reached:
            return f"its trial {trial.number} has come less far"
    return ""


def _require_space(state: EngineState, project: str, coming: int) -> None:
    account = state.accounts.get((project, ""))
    most = None if account is None else account.allowance.max_checkpoint_bytes
    kept = state.checkpoint_bytes.get(project, 0)
    if most is not None and kept + coming > most:
        raise Conflict(
            f"the archive brings {coming} bytes of checkpoints: project {project} keeps {kept}, and may keep {most}.",
            "Import an archive without checkpoints, or have an administrator raise it (hippo project edit "
            f"{project} --max-checkpoint-bytes).",
        )


def _plans(state: EngineState, project: str, archive: Archive) -> list[PlanState]:
    """The plans of the archive's program and environment that a study has."""
    return [
        plan
        for plan in state.plans.values()
        if (plan.project, plan.program_key, plan.environment)
        == (project, archive.study.program_key, archive.environment)
        and not is_over(plan)
    ]


def _plan_of(decision: Decision, project: str, archive: Archive) -> int:
    """The plan that an archive's results belong to; a new one where there is none."""
    plans = _plans(decision.state, project, archive)
    if plans:
        return plans[0].id
    number = decision.state.last_plan + 1
    decision.emit(
        ev.PlanCreated(
            plan=number,
            project=project,
            program_key=archive.study.program_key,
            environment=archive.environment,
            program=archive.study.spec.program.to_json(),
        )
    )
    return number


def _require_place(state: EngineState, project: str, archive: Archive, place: Place) -> None:
    """Makes sure that what was published lies where it belongs, also after all that has happened meanwhile.

    Raises:
        Conflict: Its plan is over, or another study of the program has come to be trained in another one.
    """
    if not place.plan:
        return
    plans = _plans(state, project, archive)
    plan = state.plans[place.plan]
    untouched = is_over(plan) and all(node.trained == node.start for node in plan.plan.nodes)
    if plan not in plans and (plans or not untouched):
        raise Conflict(
            "the program's search plan became another one while the archive came.", "Import it once more."
        )


def _create(decision: Decision, command: ImportStudy) -> Study:
    """The study as it was submitted, in its plan."""
    state, archive = decision.state, command.archive
    submitted = next(event for event in archive.events if isinstance(event, ev.StudySubmitted))
    planned = [event for event in archive.events if isinstance(event, ev.StudyPlanned)][-1]
    number = state.last_study + 1
    open_accounts(decision, command.project, command.user)
    decision.emit(replace(submitted, study=number, project=command.project, user=command.user))
    study = state.studies[number]
    if not archive.environment:
        plan = choose_plan(decision, study)
    elif command.place is not None and command.place.plan:
        plan = command.place.plan
    else:
        plan = _plan_of(decision, command.project, archive)
    decision.emit(ev.StudyPlanned(study=number, plan=plan, bound=planned.bound and bool(archive.environment)))
    return study


#: Of an archive's events, what ``_create`` and ``merge`` tell in their own way; and what no paused study wants.
_TOLD = (
    ev.PlanCreated,
    ev.StudySubmitted,
    ev.StudyPlanned,
    ev.NodeCreated,
    ev.StepsTrained,
    ev.CheckpointPublished,
    ev.MetricsRecorded,
    ev.NodeNotReproducible,
    ev.PointsWanted,
)


def _tell(decision: Decision, study: Study, archive: Archive, places: Places) -> None:
    """Tells a study's events again, with the numbers that things have here."""
    state = decision.state
    base, sequences = state.last_sequence, list[int]()
    for event in archive.events:
        if isinstance(event, _TOLD):
            continue
        told: ev.Event = replace(event, study=study.id)  # type: ignore[arg-type]
        match told:
            case ev.RequestOpened():
                told = replace(told, node=places.owner((told.node, told.step)).id)
            case ev.CheckpointPinned():
                told = replace(told, node=places.owner((told.node, told.step)).id)
            case ev.RequestClosed():
                sequences.append(told.sequence)
                value = told.value
                if value is not None:  # what is known here stands
                    value = objective_value(study, study.member(told.trial).node, told.reached)
                told = replace(told, sequence=state.last_sequence + 1, value=value)
            case ev.ProposalWanted() | ev.JudgementWanted():
                told = replace(told, sequence=base + bisect_right(sequences, told.sequence))
            case ev.StudyCredited():
                told = replace(
                    told,
                    project=study.project,
                    user=study.user,
                    billed=0,
                    billed_gpus=0,
                    passed=0,
                    project_passed=0,
                )
            case ev.StudyStateChanged() if told.state is StudyState.RUNNING:
                continue
            case _:
                pass
        decision.emit(told)
    if study.state is StudyState.RUNNING:
        decision.emit(ev.StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=IMPORTED))
    # As after a restart: what it was told of is not judged again, and whoever waits is looked at when it is resumed.
    for key in [key for key in state.touched_requests if key[0] == study.id]:
        del state.touched_requests[key]
    if study.policy.watches:
        tell_judged(state, study)
    decision.volatile.reopened[study.id] = None


def _look_again_below(state: EngineState, node: Node) -> None:
    """What waits for a state at or below a node may be known by now."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        for requests in each.requests.values():
            state.touched_requests.update((key, None) for key in requests if key[0] in state.active)
        waiting.extend(child for child in each.offspring() if child.open)
    state.touched_plans[node.plan] = None
