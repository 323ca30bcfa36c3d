"""Points of samplers that learn: wanted when a slot would idle, proposed outside, one at a time.

What a proposal may see is decided when it is wanted, and is an event: a restart wants the same proposal, which is a
function of the study's specification, that history, and the trial's number. A study waits for one point at a time, so
that each sees all the ones before, among them those that are still being trained. It asks again until a command brings
the point or its failure; after ``TRIES`` failures it asks no more: what runs goes on, then the study pauses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.domains import HORIZON
from hippo_core.engine.commands import ExhaustSpace, FailProposal, ProposeTrial
from hippo_core.engine.creation import create_point
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import ProposalFailed, ProposalWanted, SpaceExhausted, StudyStateChanged
from hippo_core.engine.granting import idle_slots_for, slots_for
from hippo_core.engine.growing import growing_plans
from hippo_core.engine.quotas import crowded
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_core.engine.study import Closing, Judgement, Proposal, Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.turns import Turns
from hippo_core.errors import InvalidStudy
from hippo_core.policies.policy import Values, round_up
from hippo_core.probes import probe_of
from hippo_core.space import Assignment
from hippo_core.study import StudySpec

TRIES = 3
WAITING_PER_SLOT = 2  #: so many trials are open at most, for each slot, while further ones are proposed
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeProposal:
    """A point that is wanted; ``failures`` tells one try from the next, ``spaces`` one space from an edited one."""

    study: int
    trial: int
    sequence: int
    failures: int
    spaces: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTrial:
    """A trial as a sampler sees it.

    Attributes:
        trial: Its number among those that the sampler has drawn.
        assignment: Where it lies in the space; empty if it was drawn from another one, and lies outside.
        notes: What the sampler noted with it.
        state: WAITING: it is to be trained further; COMPLETED: to its end; STOPPED: not so far; DIVERGED: it is as bad
            as can be, also since it found no memory; FAILED: nothing is known of it.
        values: The objectives by step.
        reached: Where it diverged: the step.
        sequence: When its last request ended, in the order of arrival; 0: none has.
        probes: Of its probes that have come, the values by the step from which on they part from it.
    """

    trial: int
    assignment: Assignment
    notes: Mapping[str, Any]
    state: TrialState
    values: Mapping[int, tuple[float, ...]]
    reached: int
    sequence: int
    probes: Mapping[int, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalTask:
    """All that a proposal is a function of.

    Attributes:
        spec: The study; its present ``max_trials`` and ``max_steps`` do not matter.
        trial: The number of the trial, among those that the sampler draws: users' forks are none of them.
        history: All of those before it, in order.
    """

    spec: StudySpec
    trial: int
    history: tuple[PastTrial, ...]


def want(decision: Decision) -> None:
    """Wants a point for each study that has trials left, and a slot that would idle or nothing else to do."""
    state = decision.state
    turns: Turns | None = None
    growing = growing_plans(state)
    for number in state.active:
        study = state.studies[number]
        if study.proposal is not None or not study.unproposed or study.ending or study.spec.sampler.outside:
            continue
        if study.short or crowded(state, study):
            continue
        turns = turns or Turns(decision)
        plan = state.plans[study.plan]
        # While something waits to be tried again, idle slots are no reason: a sick host would get all trials proposed.
        held_back = plan.tree.blocked or plan.id in decision.volatile.full or plan.id in growing
        if not study.open or (not held_back and _finds_a_slot(state, turns, study, plan)):
            decision.emit(_wanted(state, study))


def _finds_a_slot(state: EngineState, turns: Turns, study: Study, plan: PlanState) -> bool:
    """Whether a study could train one more trial at once: in a slot that idles, or that its user may take over."""
    owner = study.project, study.user
    if not turns.may_take(owner):
        return False
    if idle_slots_for(state, plan):
        # What is open and finds no slot waits for a prefix in training, as a new trial may come to do, too.
        return len(study.open) < WAITING_PER_SLOT * slots_for(state, plan)
    return turns.has_claim(owner) and plan.tree.best(study.user) is None


def _wanted(state: EngineState, study: Study) -> ProposalWanted:
    steps = study.spec.max_steps
    return ProposalWanted(
        study=study.id,
        trial=len(study.trials),
        sequence=state.last_sequence,
        pending=study.open_trials(),
        max_steps=round_up(steps, study.spec.program.evaluate_every) if isinstance(steps, int) else None,
    )


def proposals_to_make(state: EngineState) -> Iterator[MakeProposal]:
    """The points that running studies wait for."""
    for number in state.active:
        study = state.studies[number]
        wanted = study.proposal
        if wanted is not None and wanted.failures < TRIES and not study.ending:
            yield MakeProposal(
                study=number,
                trial=wanted.trial,
                sequence=wanted.sequence,
                spaces=state.studies[number].spaces,
                failures=wanted.failures,
            )


def propose(decision: Decision, command: ProposeTrial) -> None:
    """Creates the trial, if it is still wanted and can be trained."""
    study = _waiting(decision, command)
    if study is None:
        return
    try:
        point = study.spec.checked_point(command.assignment)
    except InvalidStudy as error:
        _fail(decision, study, f"it proposed a point that cannot be trained: {error}")
        return
    create_point(decision, study, point, command.notes)


def exhaust(decision: Decision, command: ExhaustSpace) -> None:
    """Wants no more points, if one is still wanted: there are none that are no trials."""
    study = _waiting(decision, command)
    if study is not None:
        decision.emit(SpaceExhausted(study=study.id, points=command.points))


def fail(decision: Decision, command: FailProposal) -> None:
    """Counts a failure, if the point is still wanted."""
    study = _waiting(decision, command)
    if study is not None:
        _fail(decision, study, command.reason)


def _waiting(decision: Decision, command: ProposeTrial | FailProposal | ExhaustSpace) -> Study | None:
    """The study that waits for just this; none where the answer is late, or the second one."""
    study = decision.state.studies.get(command.study)
    if (
        study is None
        or study.proposal is None
        or study.ending
        or study.state not in {StudyState.RUNNING, StudyState.PAUSED}
    ):
        return None
    asked = (study.proposal.trial, study.proposal.sequence, study.spaces)
    return study if asked == (command.trial, command.sequence, command.spaces) else None


def _fail(decision: Decision, study: Study, reason: str) -> None:
    assert study.proposal is not None
    decision.emit(
        ProposalFailed(
            study=study.id,
            trial=study.proposal.trial,
            failures=study.proposal.failures + 1,
            reason=one_line(reason),
        )
    )


def one_line(reason: str) -> str:
    """What went wrong outside, as a line that is not too long."""
    line = "".join(each if each.isprintable() else " " for each in reason)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


def pause_if_given_up(decision: Decision, study: Study) -> None:
    """Pauses a study that has nothing left to do because its sampler does not get on."""
    if study.proposal is not None and study.proposal.failures >= TRIES:
        remedy = (
            "Submitted under another name, with another sampler, the study shares what was trained; "
            f"hippo study resume {study.name} tries again"
        )
        reason = f"{_failure_in_words(study, study.proposal)}. {remedy}"
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=reason))


def renew(decision: Decision, study: Study) -> None:
    """A point is wanted anew: its trial's number was given to another, or it is to be drawn otherwise."""
    if study.exhausted:
        decision.emit(SpaceExhausted(study=study.id, points=0))
    if study.proposal is not None:
        decision.emit(_wanted(decision.state, study))


def renew_failed(decision: Decision, study: Study) -> None:
    """A user asks to go on: a proposal that has failed is wanted anew, with all that is known by now."""
    if study.proposal is not None and study.proposal.failures:
        decision.emit(_wanted(decision.state, study))


def proposal_in_words(study: Study) -> str:
    """What a study that waits for a point waits for, and why it has not come."""
    wanted = study.proposal
    assert wanted is not None
    if not wanted.failures:
        return f"the sampler {_sampler(study)} is proposing trial {wanted.trial}"
    after = "It is tried again" if wanted.failures < TRIES else "What runs goes on, then the study pauses"
    return f"{_failure_in_words(study, wanted)}. {after}"


def _failure_in_words(study: Study, wanted: Proposal) -> str:
    often = "once" if wanted.failures == 1 else f"{wanted.failures} times"
    return (
        f"the sampler {_sampler(study)} has failed {often} to propose trial {wanted.trial}: "
        f"{wanted.reason.rstrip('.')}"
    )


def exhausted_in_words(study: Study) -> str:
    """That a study has fewer trials than it may, as its space has no more points; empty: it has not."""
    if study.room <= 0 or not (study.exhausted or not study.spec.sampler.learns):
        return ""
    points = study.exhausted or study.drawn
    return f"max_trials={study.spec.max_trials}, but the space has {points} point{'' if points == 1 else 's'}"


def _sampler(study: Study) -> str:
    return str(study.spec.sampler.to_json()["sampler"])


def task(study: Study) -> ProposalTask:
    """What a study's proposal is a function of."""
    wanted = study.proposal
    assert wanted is not None
    seen = history(study, wanted, range(wanted.trial))
    return ProposalTask(spec=study.spec.searched, trial=len(seen), history=seen)


def history(study: Study, mark: Proposal | Judgement, numbers: Iterable[int]) -> tuple[PastTrial, ...]:
    """The trials that a sampler has drawn, of those numbers, as they were at a mark of the study's history."""
    closings: dict[int, list[Closing]] = {}
    later: set[int] = set()
    probes: dict[int, dict[int, Values]] = {}
    for closing in study.closings:
        if probe_of(closing.trial):
            if closing.sequence <= mark.sequence:
                _note_probe(study.probes[closing.trial], closing, probes)
        elif closing.sequence > mark.sequence:
            later.add(closing.trial)
        else:
            closings.setdefault(closing.trial, []).append(closing)
    pending = frozenset(mark.pending)
    trials = (study.trials[number] for number in numbers)
    drawn = [trial.number for trial in trials if trial.fork is None and study.is_learned_from(trial)]
    return tuple(
        _past(
            place,
            study.trials[number],
            closings.get(number, []),
            mark.max_steps,
            pending=number in pending,
            done=number not in later and study.trials[number].state is TrialState.COMPLETED,
            known=study.trials[number].spaces == study.spaces,
            probes=probes.get(number, {}),
        )
        for place, number in enumerate(drawn)
    )


def _past(
    place: int,
    trial: Trial,
    closings: list[Closing],
    max_steps: int | None,
    *,
    pending: bool,
    done: bool,
    known: bool,
    probes: Mapping[int, Values],
) -> PastTrial:
    """A trial as it was; ``done``: nothing has come of it since, and it is complete.

    What was noted with it is not ``known`` where the space or the sampler was edited since.
    """
    if trial.point is None:  # it keeps its place, since samplers note numbers
        return PastTrial(
            trial=place, assignment={}, notes={}, state=TrialState.FAILED, values={}, reached=0, sequence=0
        )
    values = {closing.step: closing.values for closing in closings if closing.values is not None}
    limit = trial.max_steps if max_steps is None else max_steps
    if pending or not closings:
        state = TrialState.WAITING
    elif closings[-1].state in {RequestState.DIVERGED, RequestState.INFEASIBLE}:
        state = TrialState.DIVERGED  # the worst that there is
    elif closings[-1].state is RequestState.FAILED or not values:
        state = TrialState.FAILED
    elif max(values) >= limit or (done and closings[-1].state is RequestState.CANCELLED):
        # The policy may have let it be done where it stood.
        state = TrialState.COMPLETED
    else:
        state = TrialState.STOPPED
    return PastTrial(
        trial=place,
        assignment={name: drawn for name, drawn in trial.point.items() if name != HORIZON},
        notes=trial.notes if known else {},
        state=state,
        values=values,
        reached=closings[-1].reached if closings else 0,
        sequence=closings[-1].sequence if closings else 0,
        probes=probes,
    )


def _note_probe(probe: Trial, closing: Closing, found: dict[int, dict[int, Values]]) -> None:
    """Notes what a probe came to, by its trial and the step from which on it parts from that."""
    assert probe.fork is not None
    if closing.state is RequestState.REACHED and closing.values is not None:
        found.setdefault(probe.fork["trial"], {})[probe.fork["at"]] = closing.values
