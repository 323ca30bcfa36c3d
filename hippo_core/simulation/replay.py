"""A recorded study decided anew, in the order in which it was: does this engine decide as that one did?

What a policy decides that compares trials at rungs is a function of the study and of the order in which requests came
to their ends, breath by breath: of what it had heard when it decided; and of when slots took its promotions. So the
record's order is followed here instead of a clock. The production engine gets a slot for every trial, so that whatever
is asked for can be trained at any time; the paths are trained up to where each end lies, one recorded end after the
other; and the policy decides when a breath is over, as it did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from hippo_core.engine.commands import (
    Command,
    CreateTrials,
    ExhaustSpace,
    FailedReport,
    ProposeTrial,
    RegisterWorker,
    ReleasedReport,
    SlotSpec,
    SubmitStudy,
    TrainedReport,
)
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import (
    CheckpointDropped,
    Event,
    LeaseGranted,
    LeaseStateChanged,
    LeaseStopped,
    ProposalWanted,
    RequestOpened,
    SavePointOffered,
)
from hippo_core.engine.orders import order
from hippo_core.engine.states import LIVE_LEASE_STATES, FailureClass, RequestState, StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import InvalidStudy
from hippo_core.lease import State
from hippo_core.policies import Policy, Promote, Verdict
from hippo_core.probes import number_of
from hippo_core.simulation.path import SimulatedPath
from hippo_core.simulation.recorded_parts import Arrival
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.response import Model

WORKER = "replay"
INCARNATION = "1"
#: How the requests of trials end that fail.
FAILED = frozenset({RequestState.INFEASIBLE, RequestState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What was decided on a trial.

    Attributes:
        asked: Up to which steps it was asked to be trained, in order.
        probes: From which step to which it was probed, in order.
        state: How it ended.
        reason: Why, in words and numbers.
    """

    asked: tuple[int, ...]
    probes: tuple[tuple[int, int], ...]
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A trial on which was decided otherwise than recorded.

    Attributes:
        trial: Its number.
        recorded: What was decided then; None: there was no such trial.
        replayed: What is decided now; None: there is no such trial.
    """

    trial: int
    recorded: Decisions | None
    replayed: Decisions | None


def recorded_decisions(recording: Recording) -> dict[int, Decisions]:
    """What was decided on each trial of a record."""
    asked: dict[int, list[int]] = {trial.number: [] for trial in recording.trials}
    for arrival in recording.arrivals:
        if not arrival.probe:
            asked[arrival.trial].append(arrival.step)
    return {
        trial.number: Decisions(
            asked=tuple(asked[trial.number]),
            probes=tuple((probe.at, probe.to) for probe in trial.probes),
            state=trial.state.value,
            reason=trial.reason,
        )
        for trial in recording.trials
    }


def replay(recording: Recording) -> tuple[Departure, ...]:
    """Decides a recorded study anew, in the order of its record.

    Returns:
        The trials on which is decided otherwise; none: all decisions are the same, with their reasons.

    Raises:
        InvalidStudy: The record cannot be followed: the study did not end by itself, an ending ended it, a user
            steered it, or its policy watches every evaluation, whose order is not recorded.
    """
    _check(recording)
    known = recorded_decisions(recording)
    found = _Replay(recording).run()
    return tuple(
        Departure(trial=number, recorded=known.get(number), replayed=found.get(number))
        for number in sorted({*known, *found})
        if known.get(number) != found.get(number)
    )


def _check(recording: Recording) -> None:
    if recording.state not in {StudyState.COMPLETED, StudyState.FAILED}:
        raise InvalidStudy("recorded", f"the study is {recording.state}, and has not ended by itself")
    if recording.ending:
        raise InvalidStudy(
            "recorded", f"endings.{recording.ending} has ended the study: when is not recorded"
        )
    if recording.changes:
        raise InvalidStudy("recorded", "a user has extended or edited the study, and when is not recorded")
    if _is_retried(recording):
        raise InvalidStudy("recorded", "a user has retried failed trials, and when is not recorded")
    words = (each.by_user for each in recording.arrivals)
    if any(words) or any(trial.by_user for trial in recording.trials):
        raise InvalidStudy("recorded", "a user has added or extended trials, and when is not recorded")
    if recording.spec.repeats > 1:
        raise InvalidStudy("recorded", "the study has repeats, of which only the first is recorded")
    if recording.spec.build_policy().watches:
        raise InvalidStudy(
            "recorded",
            f"the policy {recording.spec.policy.name} watches every evaluation, whose order is not recorded",
            "Policies that compare trials at rungs can be replayed.",
        )


def _is_retried(recording: Recording) -> bool:
    """Whether a trial was asked for something after it had failed; a probe never is."""
    failed: set[int] = set()
    for each in recording.arrivals:
        if each.probe:
            continue
        if each.trial in failed:
            return True
        if each.state in FAILED:
            failed.add(each.trial)
    return False


class _Replay:
    """The engine with a worker that follows a record.

    Args:
        recording: The record.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._response = recording.metrics()
        self._engine = Engine()
        self._paths: dict[int, SimulatedPath] = {}
        self._storage: dict[tuple[int, int, int], Model] = {}
        self._news: deque[Event] = deque()
        self._asked: dict[int, list[int]] = {}
        self._due = 0  # how many ends there are when the breath is over

    def run(self) -> dict[int, Decisions]:
        """Follows the record as far as what it tells of is asked for."""
        self._register()
        self._tell(SubmitStudy(project="default", user=WORKER, spec=self._recording.spec))
        while wanted := self._engine.wanted_of(CreateTrials):
            for each in wanted:
                self._tell(each)
        study = self._engine.state.studies[1]
        self._pace(study.policy)
        for due, breath in self._breaths():
            self._due = due
            if not all(self._bring(study, arrival) for arrival in breath):
                break
        return {
            trial.number: Decisions(
                asked=tuple(self._asked.get(trial.number, [])),
                probes=tuple(_stretch(probe) for probe in study.probes_of(trial.number)),
                state=trial.state.value,
                reason=trial.reason,
            )
            for trial in study.trials.values()
        }

    def _pace(self, policy: Policy) -> None:
        """Lets a policy decide only when a breath is over; it answers the same whenever it is asked.

        A promotion is carried out when a slot would take it, and some are displaced before. So of those that stand, the
        recorded ones are; once the record is over, any, which is a departure.
        """
        decide, state = policy.decide, self._engine.state
        recorded = {(each.trial, each.step) for each in self._recording.arrivals if not each.probe}
        over = len(self._recording.arrivals)

        def stands(verdict: Verdict) -> bool:
            if isinstance(verdict, Promote) and state.last_sequence < over:
                return (verdict.trial, verdict.to) in recorded
            return True

        def paced() -> list[Verdict]:
            return [each for each in decide() if stands(each)] if state.last_sequence >= self._due else []

        policy.decide = paced  # type: ignore[method-assign]

    def _breaths(self) -> Iterator[tuple[int, list[Arrival]]]:
        """What was heard of together, with how many ends there were then; what a policy cancelled comes by itself."""
        placed = [
            (place, arrival)
            for place, arrival in enumerate(self._recording.arrivals, start=1)
            if arrival.state is not RequestState.CANCELLED
        ]
        for _, group in groupby(placed, key=lambda each: each[1].breath):
            breath = list(group)
            yield breath[-1][0], [arrival for _, arrival in breath]

    def _register(self) -> None:
        resources = self._recording.spec.program.resources
        gpus = resources.gpus or 0
        slots = tuple(
            SlotSpec(index=index, device="cuda" if gpus else "cpu", model="", cpus=resources.cpus, gpus=gpus)
            for index in range(max(1, sum(1 + len(trial.probes) for trial in self._recording.trials)))
        )
        environment = {"python": WORKER, "torch": WORKER, "cuda": WORKER}
        self._tell(
            RegisterWorker(
                worker=WORKER, incarnation=INCARNATION, host=WORKER, slots=slots, environment=environment
            )
        )

    def _bring(self, study: Study, arrival: Arrival) -> bool:
        """Trains what leads to the end of a request; tells whether it has come as recorded."""
        number = number_of(arrival.trial, arrival.probe)
        trial = (study.probes if arrival.probe else study.trials).get(number)
        if trial is None or arrival.step not in self._asked.get(number, []):
            return False
        recorded = self._recording.trials[arrival.trial]
        reason = recorded.probes[arrival.probe - 1].reason if arrival.probe else recorded.reason
        while trial.target == arrival.step:
            path = self._leading_on(trial)
            if path is None:
                return False
            if arrival.state in FAILED and path.step >= arrival.reached:
                self._fail(path, reason)
            else:
                self._train(path)
        return True

    def _leading_on(self, trial: Trial) -> SimulatedPath | None:
        """The path whose next step is the first that the trial lacks, or that is on the way to it."""
        leaf, target = trial.node, trial.target
        assert leaf is not None
        assert target is not None
        for path in self._paths.values():
            if not path.done and path.step < target:
                node = path.order.stages[path.index].node
                if leaf.owner(path.step + 1).id == node:
                    return path
        return None

    def _train(self, path: SimulatedPath) -> None:
        state = path.train(1.0, 0.0)
        if state in path.saves or path.at_end:
            self._publish(path, state)
        if path.at_end:
            path.end(TrainedReport())
        self._report(path)

    def _publish(self, path: SimulatedPath, state: State) -> None:
        path.spool[state] = path.model
        self._storage[*state, path.order.fence] = path.publish(state)

    def _fail(self, path: SimulatedPath, message: str) -> None:
        node = path.order.stages[path.index].node
        path.end(
            FailedReport(
                failure=FailureClass.INVALID, message=message, traceback="", node=node, step=path.step
            )
        )
        self._report(path)

    def _report(self, path: SimulatedPath) -> None:
        self._tell(path.report(WORKER, INCARNATION))

    def _tell(self, command: Command) -> None:
        self._news.extend(self._engine.handle(command, 0.0).events)
        while self._news:
            self._follow(self._news.popleft())

    def _follow(self, event: Event) -> None:
        match event:
            case LeaseGranted():
                self._begin(event)
            case LeaseStateChanged():
                if event.state not in LIVE_LEASE_STATES:
                    self._paths.pop(event.fence, None)
            case LeaseStopped():
                path = self._paths.get(event.fence)
                if path is not None and not path.done:
                    path.end(ReleasedReport(reason=event.reason))
                    self._report(path)
            case SavePointOffered():
                self._offer(event.fence, (event.node, event.step))
            case CheckpointDropped():
                self._storage.pop((event.node, event.step, event.fence), None)
            case ProposalWanted():
                self._propose(event)
            case RequestOpened():
                self._asked.setdefault(event.trial, []).append(event.step)
            case _:
                return

    def _begin(self, event: LeaseGranted) -> None:
        lease = self._engine.state.leases.get(event.fence)
        if lease is None:
            return
        found = order(self._engine.state, lease, self._engine.settings.stall_seconds)
        model = (
            self._response.begin(found.program.seed) if found.start is None else self._storage[found.start]
        )
        self._paths[event.fence] = SimulatedPath(found, self._response, model)

    def _offer(self, fence: int, state: State) -> None:
        path = self._paths.get(fence)
        if path is None or path.done:
            return
        here = path.state == state and path.step > path.order.stages[0].start
        path.answer(state, here or path.is_ahead(state))
        if here:
            self._publish(path, state)
        self._report(path)

    def _propose(self, event: ProposalWanted) -> None:
        study = self._engine.state.studies[event.study]
        drawn = sum(trial.parent is None for trial in self._recording.trials)
        if study.drawn >= drawn:
            self._tell(
                ExhaustSpace(study=event.study, trial=event.trial, sequence=event.sequence, points=drawn)
            )
            return
        known = self._recording.proposal(study.spec, study.drawn)
        point, notes = known or (dict(study.spec.point(study.drawn)), {})
        self._tell(
            ProposeTrial(
                study=event.study,
                trial=event.trial,
                sequence=event.sequence,
                assignment=point,
                notes=notes,
            )
        )


def _stretch(probe: Trial) -> tuple[int, int]:
    assert probe.fork is not None
    return probe.fork["at"], probe.max_steps
