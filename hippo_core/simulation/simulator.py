"""The production engine in virtual time.

Theory of operation. An agenda holds what happens next: a study or a worker comes or goes, a path reaches a state
that it saves, a saved state is durable, a path ends. What happens tells the engine one command; the events that
come back say what the slots (``hippo_core.simulation.pool``) do next; how long things take is looked up in the costs.

Time is counted in whole ticks. At one time, studies and workers come first, then states become durable, then paths
end: a slot that becomes free chooses among all that its time has made ready. Beyond that things happen in the order in
which they became known, and there is no entropy: equal arguments give equal journals.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from hippo_core.allowance import Allowance
from hippo_core.engine.commands import (
    ChangeAccount,
    Command,
    CreateProject,
    CreateTrials,
    EnqueueTrial,
    ExhaustSpace,
    Heartbeat,
    ProposeTrial,
    RegisterWorker,
    SlotSpec,
    SubmitStudy,
    Tick,
)
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import (
    CheckpointDropped,
    CheckpointLost,
    Event,
    LeaseGranted,
    LeaseStateChanged,
    LeaseStopped,
    PointsWanted,
    ProposalWanted,
    SavePointOffered,
)
from hippo_core.engine.invariants import check
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.engine.proposals import MakeProposal
from hippo_core.engine.states import LIVE_LEASE_STATES
from hippo_core.engine.waiting import waiting_reason
from hippo_core.errors import InvalidStudy
from hippo_core.program import Resources
from hippo_core.proposing import Exhausted, Point, own_point, unseen_point
from hippo_core.simulation.agenda import Agenda, Turn
from hippo_core.simulation.costs import TICKS, Clockwork, Costs, Host, seconds, ticks
from hippo_core.simulation.phases import Phases
from hippo_core.simulation.pool import INCARNATION, Pool
from hippo_core.simulation.response import Response
from hippo_core.simulation.usage import Usage
from hippo_core.study import StudySpec

PROJECT = "default"
USER = "simulation"
Proposals = Callable[[StudySpec, int], Point | None]
"""What a sampler that learns proposes for the trial of a number among those drawn; None: it is not known."""

ENVIRONMENT = {"python": "simulated", "torch": "simulated", "cuda": "simulated"}


class Simulator:
    """The engine with its workers.

    Args:
        hosts: The workers.
        response: What training comes to.
        costs: What things take.
        settings: The engine's.
        proposals: What samplers that learn propose, where it is known.
        watch: Is shown every event, in order.
        checked: Checks all invariants after every command, which is slow; they are checked at the end in any case.

    Attributes:
        engine: The engine.
        agenda: What happens next, and what time it is.
        usage: What the slots did.
        pool: The slots.
        phases: What was known when.
        event_count: How many events there were.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        response: Response,
        costs: Costs,
        settings: EngineSettings,
        *,
        proposals: Proposals | None = None,
        watch: Callable[[Event], None] | None = None,
        checked: bool = False,
    ) -> None:
        self.engine = Engine(settings)
        self.agenda = Agenda()
        self.usage = Usage()
        self.phases = Phases(self.engine.state.nodes)
        self.event_count = 0
        self._clockwork = Clockwork(costs)
        self.pool = Pool(
            self.engine.state,
            self.agenda,
            response,
            self._clockwork,
            self.usage,
            stall_seconds=settings.stall_seconds,
            tell=self._tell,
        )
        self._proposals = proposals
        self._watch = watch
        self._checked = checked
        self._resources = Resources()
        self._timeout: float | None = None  # the next one that is on the agenda
        self._pause: float | None = None
        self._coming = 0  # studies that are still to be submitted
        self._cut_at: int | None = None  # when the engine is to look for one
        self._prepare_at: int | None = None  # when idle slots are looked at next
        self._news: deque[Event] = deque()
        for host in hosts:
            self.agenda.at(ticks(host.joins_seconds), Turn.COMES, partial(self._join, host))

    # What is to happen

    def allow(self, user: str, allowance: Allowance) -> None:
        """Gives a user a weight and limits, before anything happens."""
        self._tell(CreateProject(project=PROJECT))
        self._tell(ChangeAccount(project=PROJECT, user=user, changes=allowance.to_json()))

    def submit(self, spec: StudySpec, at_seconds: float = 0.0, user: str = USER) -> None:
        """A study is submitted by somebody at a time."""
        self._resources = _widest(self._resources, spec)
        self._coming += 1
        self.agenda.at(ticks(at_seconds), Turn.COMES, partial(self._submit, spec, user))

    def run(self) -> None:
        """Lets everything happen until the last study has ended.

        Raises:
            InvalidStudy: The studies cannot end, because no slot is left or fits.
        """
        while self._coming or self.engine.state.active:
            action = self.agenda.next()
            if action is None:
                raise self._stuck()
            action()
            self._catch_up()
        self.pool.end()
        check(self.engine)

    def _catch_up(self) -> None:
        """Follows what the engine has said, and creates the trials that it wants: that takes no time."""
        while True:
            while self._news:
                self._follow(self._news.popleft())
            wanted = self.engine.wanted_of(CreateTrials)
            for each in wanted:
                self._tell(each)
            if not wanted:
                return

    def _stuck(self) -> InvalidStudy:
        state = self.engine.state
        study = state.studies[next(iter(state.active))]
        why = waiting_reason(state, study) or "nothing leads on"
        return InvalidStudy("slots", f"the study '{study.name}' does not end: {why}", "Give it other slots.")

    # Studies and workers

    def _submit(self, spec: StudySpec, user: str) -> None:
        self._coming -= 1
        self._tell(SubmitStudy(project=PROJECT, user=user, spec=spec))

    def _join(self, host: Host) -> None:
        self.pool.add(host)
        if host.lost_seconds is not None:
            self.agenda.at(ticks(host.lost_seconds), Turn.COMES, partial(self._lose, host))
        gpus = self._resources.gpus or 0
        self._tell(
            RegisterWorker(
                worker=host.name,
                incarnation=INCARNATION,
                host=host.name,
                slots=tuple(
                    SlotSpec(
                        index=index,
                        device="cuda" if gpus else "cpu",
                        model="simulated",
                        cpus=self._resources.cpus,
                        gpus=gpus,
                    )
                    for index in range(host.slots)
                ),
                environment=ENVIRONMENT,
            )
        )

    def _lose(self, host: Host) -> None:
        self.pool.lose(host)
        heard = self.agenda.now + ticks(self.engine.settings.lease_seconds)
        self.agenda.at(heard, Turn.COMES, self._hear)

    def _hear(self) -> None:
        """The engine hears of all workers but those that are lost, and looks at what is due: these are given up."""
        for name in self.pool.hosts:
            self._tell(Heartbeat(worker=name, incarnation=INCARNATION))
        self._tell(Tick())

    # What the engine says

    def _tell(self, command: Command) -> None:
        outcome = self.engine.handle(command, seconds(self.agenda.now))
        self.event_count += len(outcome.events)
        for event in outcome.events:
            self.phases.note(event, self.agenda.now)
            if self._watch is not None:
                self._watch(event)
        self._news.extend(outcome.events)
        timeout = self.engine.next_timeout()
        if timeout is not None and timeout != self._timeout:
            self._timeout = timeout
            self.agenda.at(max(ticks(timeout), self.agenda.now), Turn.COMES, self._hear)
        pause = min(self.engine.volatile.unblock.values(), default=None)
        if pause is not None and pause != self._pause:
            self._pause = pause
            self.agenda.at(max(math.ceil(pause * TICKS), self.agenda.now) + 1, Turn.COMES, self._hear)
        if self._checked:
            check(self.engine)
        if self._clockwork.setup and self.engine.volatile.reordered and self._prepare_at != self.agenda.now:
            self._prepare_at = self.agenda.now
            self.agenda.at(self.agenda.now, Turn.PREPARES, self._prepare)
        self._await_cut()

    def _await_cut(self) -> None:
        """Lets the engine look again when a path may have to yield its slot."""
        due = self.engine.volatile.next_cut
        if due is None:
            return
        at = max(self.agenda.now + 1, math.ceil(due * TICKS))
        if self._cut_at is None or at < self._cut_at:
            self._cut_at = at
            self.agenda.at(at, Turn.COMES, partial(self._look, at))

    def _look(self, at: int) -> None:
        """A path may have to yield its slot, unless that has changed meanwhile."""
        if self._cut_at != at:
            return
        self._cut_at = None
        due = self.engine.volatile.next_cut
        if due is not None and math.ceil(due * TICKS) <= self.agenda.now:
            self._hear()
        else:
            self._await_cut()

    def _follow(self, event: Event) -> None:
        match event:
            case LeaseGranted():
                self.pool.begin(event)
            case SavePointOffered():
                self.pool.offer(event.fence, (event.node, event.step))
            case LeaseStopped():
                self.pool.stop(event)
            case LeaseStateChanged():
                if event.state not in LIVE_LEASE_STATES:
                    self.pool.give_up(event.fence)
            case ProposalWanted():
                self._propose(event)
            case PointsWanted(wanted=True):
                self._enqueue(event)
            case CheckpointDropped() | CheckpointLost():
                self.pool.remove((event.node, event.step, event.fence))
                plan = self.engine.state.nodes[event.node].plan
                done = RemoveCheckpoint(plan=plan, node=event.node, step=event.step, fence=event.fence)
                self.engine.removed([done])
            case _:
                return

    def _propose(self, event: ProposalWanted) -> None:
        """The point that is known, or that of a sampler of Hippo's own; or a random one stands in for another's."""
        wanted = MakeProposal(study=event.study, trial=event.trial, sequence=event.sequence, failures=0)
        task = self.engine.proposal_task(wanted)
        study = self.engine.state.studies[event.study]
        known = self._proposals(study.spec, study.drawn) if self._proposals is not None else None
        found = known or own_point(task) or unseen_point(task)
        asked = {"study": event.study, "trial": event.trial, "sequence": event.sequence}
        if isinstance(found, Exhausted):
            self._tell(ExhaustSpace(points=found.points, **asked))
            return
        point, notes = found
        self._tell(ProposeTrial(assignment=point, notes=notes, **asked))

    def _enqueue(self, event: PointsWanted) -> None:
        """Random points stand in for those from outside, as many as are wanted."""
        study = self.engine.state.studies[event.study]
        while study.wants_points:
            point = study.spec.searched.hyperparameters(study.spec.point(study.drawn))
            self._tell(EnqueueTrial(project=study.project, name=study.name, point=point))

    def _prepare(self) -> None:
        """Makes idle slots ready for what the engine says that they will train."""
        self._prepare_at = None
        for name in self.engine.reordered():
            self.pool.prepare(name, self.engine.volatile.prepared.get(name, {}))


def _widest(known: Resources, spec: StudySpec) -> Resources:
    """Slots that fit a further study."""
    asked = spec.program.resources
    if known.gpus is not None and asked.gpus is not None and known.gpus != asked.gpus:
        raise InvalidStudy(
            "resources.gpus",
            f"'{spec.name}' asks for {asked.gpus}, a study before it for {known.gpus}",
            "Simulate studies together that ask for slots of one kind.",
        )
    return Resources(cpus=max(known.cpus, asked.cpus), gpus=known.gpus if asked.gpus is None else asked.gpus)
