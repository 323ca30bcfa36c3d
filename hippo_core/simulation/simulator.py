"""The production engine in virtual time.

Theory of operation. An agenda holds what happens next: a study or a worker comes or goes, a path reaches a state
that it saves, a saved state is durable, a path ends. What happens tells the engine one command; the events that
come back say what the slots do next. Between two such moments there is nothing that the engine could decide on, so
that steps are trained only when the next one has come. A slot keeps the contract of a real one
(``hippo_core.simulation.path``); how long things take is looked up in the costs.

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
    EnqueueTrial,
    ExhaustSpace,
    Heartbeat,
    ProposeTrial,
    RegisterWorker,
    ReleasedReport,
    SlotSpec,
    SubmitStudy,
    Tick,
    TrainedReport,
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
from hippo_core.engine.orders import RemoveCheckpoint, order
from hippo_core.engine.proposals import MakeProposal
from hippo_core.engine.state import Study
from hippo_core.engine.states import LIVE_LEASE_STATES
from hippo_core.engine.waiting import waiting_reason
from hippo_core.errors import InvalidStudy, InvariantViolated
from hippo_core.lease import State
from hippo_core.lease_order import LeaseOrder
from hippo_core.program import Resources
from hippo_core.proposing import Exhausted, Point, own_point, unseen_point
from hippo_core.simulation.agenda import Agenda, Turn
from hippo_core.simulation.costs import TICKS, Clockwork, Costs, Host, seconds, ticks
from hippo_core.simulation.phases import Phases
from hippo_core.simulation.response import Model, Response
from hippo_core.simulation.timed_path import SimulatedSlot, TimedPath
from hippo_core.simulation.usage import Activity, Span, Usage
from hippo_core.study import StudySpec

PROJECT = "default"
USER = "simulation"
INCARNATION = "1"
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
        phases: What was known when.
        evaluate_every: By plan.
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
        self.evaluate_every: dict[int, int] = {}
        self.event_count = 0
        self._response = response
        self._clockwork = Clockwork(costs)
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
        self._hosts: dict[str, Host] = {}  # those that are there
        self._slots: dict[tuple[str, int], SimulatedSlot] = {}
        self._paths: dict[int, TimedPath] = {}
        self._storage: dict[tuple[int, int, int], Model] = {}
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
            while self._news:
                self._follow(self._news.popleft())
        for path in self._paths.values():
            path.lose(self.agenda.now)
        for slot in self._slots.values():
            self._interrupt(slot)
        check(self.engine)

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
        self._hosts[host.name] = host
        for index in range(host.slots):
            self._slots[host.name, index] = SimulatedSlot(host, index)
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
        del self._hosts[host.name]
        for fence, path in list(self._paths.items()):
            if path.slot.host is host:
                path.lose(self.agenda.now)
                del self._paths[fence]
        for slot in self._slots.values():
            if slot.host is host:
                self._interrupt(slot)
        heard = self.agenda.now + ticks(self.engine.settings.lease_seconds)
        self.agenda.at(heard, Turn.COMES, self._hear)

    def _hear(self) -> None:
        """The engine hears of all workers but those that are lost, and looks at what is due: these are given up."""
        for name in self._hosts:
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
                self._begin(event)
            case SavePointOffered():
                self._offer(event.fence, (event.node, event.step))
            case LeaseStopped():
                self._stop(event)
            case LeaseStateChanged():
                if event.state not in LIVE_LEASE_STATES:
                    path = self._paths.pop(event.fence, None)
                    if path is not None and not path.done:
                        path.lose(self.agenda.now)
            case ProposalWanted():
                self._propose(event)
            case PointsWanted(wanted=True):
                self._enqueue(event)
            case CheckpointDropped() | CheckpointLost():
                self._storage.pop((event.node, event.step, event.fence), None)
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

    # Paths

    def _begin(self, event: LeaseGranted) -> None:
        state = self.engine.state
        lease = state.leases.get(event.fence)
        if lease is None or event.worker not in self._hosts:
            return
        found = order(state, lease, self.engine.settings.stall_seconds)
        slot = self._slots[event.worker, event.slot]
        model, loaded = self._model(found, slot)
        path = TimedPath(
            found,
            self._response,
            model,
            slot=slot,
            study=state.studies[event.study].name,
            clockwork=self._clockwork,
            usage=self.usage,
            nodes=state.nodes,
            now=self.agenda.now,
            # The first evaluation of a program tells how long its steps take.
            watched=self._is_watched(event.plan) or not state.plans[event.plan].tree.steps,
        )
        self.evaluate_every[event.plan] = found.program.evaluate_every
        self._paths[event.fence] = path
        if slot.program:
            path.await_lease()
        if slot.program == found.program_key:
            if slot.preparing is not None:
                path.await_setup(slot.preparing.end)
                slot.preparing = None
        else:
            self._interrupt(slot)
            slot.program = found.program_key
            path.spend(Activity.SETUP, self._clockwork.setup)
        if loaded:
            path.spend(Activity.LOAD, self._clockwork.load)
        slot.holds = slot.prepared_for = None
        self._go_on(path)

    def _prepare(self) -> None:
        """Makes idle slots ready for paths that are still to come."""
        self._prepare_at = None
        state, now = self.engine.state, self.agenda.now
        places = [(name, index) for name in self.engine.reordered() for index in state.workers[name].slots]
        for name, index in places:
            slot = self._slots[name, index]
            orders = self.engine.volatile.prepared.get(name, {}) if name in self._hosts else {}
            wanted = orders.get(index)
            key = None if wanted is None else wanted.program_key
            if slot.prepared_for is not None and slot.prepared_for != key:
                self._interrupt(slot)
                slot.program, slot.prepared_for = "", None
            if wanted is None or slot.program == key:
                continue
            slot.prepared_for = key
            slot.program, slot.holds = wanted.program_key, None
            slot.preparing = Span(
                host=name,
                slot=index,
                fence=0,
                study=state.studies[next(iter(state.plans[wanted.plan].studies))].name,
                activity=Activity.SETUP,
                begin=now,
                end=now + self._clockwork.setup,
            )
            self.usage.book(slot.preparing)

    def _interrupt(self, slot: SimulatedSlot) -> None:
        """A slot is made ready no longer."""
        if slot.preparing is not None:
            self.usage.cut(slot.preparing, self.agenda.now)
            slot.preparing = None

    def _is_watched(self, plan: int) -> bool:
        state = self.engine.state
        return any(_watched(state.studies[each]) for each in state.plans[plan].studies)

    def _model(self, found: LeaseOrder, slot: SimulatedSlot) -> tuple[Model, bool]:
        """What a path starts from, and whether it has to be loaded."""
        if found.start is None:
            return self._response.begin(found.program.seed), False
        if found.in_memory and slot.holds is not None and slot.holds[0] == found.start[:2]:
            return slot.holds[1], False
        if found.start not in self._storage:
            raise InvariantViolated(f"lease {found.fence} starts from {found.start}, which nobody has")
        return self._storage[found.start], True

    def _go_on(self, path: TimedPath) -> None:
        """Plans a path up to its next boundary."""
        self._await(path, path.plan())

    def _await(self, path: TimedPath, boundary: int) -> None:
        self.agenda.at(boundary, Turn.SAVES, partial(self._reach, path, path.version))

    def _reach(self, path: TimedPath, version: int) -> None:
        """A path has come to its boundary."""
        if path.version != version or not self._stands(path):
            return
        urgent = path.catch_up(self.agenda.now)
        if path.failure is not None:
            path.fail()
            self._report(path)
        elif urgent:
            self._report(path)  # what follows from it comes before the path goes on
            path.watched = self._is_watched(path.order.plan)
            self.agenda.at(self.agenda.now, Turn.SAVES, partial(self._proceed, path, path.version))
        else:
            self._proceed(path, path.version)

    def _proceed(self, path: TimedPath, version: int) -> None:
        if path.version != version or not self._stands(path):
            return
        # What was asked for is saved before a stop is heard.
        if path.saves_now():
            self._save(path)
        elif path.stopping is not None:
            self._release(path)
        else:
            self._go_on(path)

    def _save(self, path: TimedPath) -> None:
        """A path saves the state that it is in, and ends there or goes on."""
        state = path.save()
        durable = path.clock + self._clockwork.publish
        if not path.at_end:
            self.agenda.at(durable, Turn.SAVES, partial(self._publish, path, state))
            if path.stopping is None:
                self._go_on(path)
            else:
                self.agenda.at(path.clock, Turn.ENDS, partial(self._release, path))
        elif durable > path.clock:
            self.agenda.at(path.clock, Turn.ENDS, partial(self._end, path, None))
            self.agenda.at(durable, Turn.SAVES, partial(self._publish, path, state))
        else:
            self.agenda.at(path.clock, Turn.ENDS, partial(self._end, path, state))

    def _publish(self, path: TimedPath, state: State) -> None:
        """A saved state is durable."""
        if not self._stands(path):
            return
        self._keep(path, state)
        if path.stopping is not None and path.halted and not path.spool and not path.done:
            self._give_back(path, path.stopping)
        self._report(path)

    def _end(self, path: TimedPath, state: State | None) -> None:
        """A path has trained its last step; its last state is durable at once where it is given."""
        if not self._stands(path):
            return
        path.slot.holds = (path.state, path.model)
        if state is not None:
            self._keep(path, state)
        path.end(TrainedReport())
        self._report(path)

    def _keep(self, path: TimedPath, state: State) -> None:
        self._storage[*state, path.order.fence] = path.publish(state, self._clockwork.costs.checkpoint_bytes)

    def _report(self, path: TimedPath) -> None:
        if not path.done:
            path.catch_up(self.agenda.now)
        path.told()
        self._tell(path.report(path.slot.host.name, INCARNATION))

    def _offer(self, fence: int, state: State) -> None:
        """A path is asked to save a state; it can where it has not passed it."""
        path = self._paths.get(fence)
        if path is None or path.done:
            return
        path.catch_up(self.agenda.now)
        here = path.state == state and path.step > path.order.stages[0].start and path.rests(self.agenda.now)
        will = path.is_ahead(state) or here or state in path.spool
        path.answer(state, will)
        self._report(path)
        if not self._stands(path) or not will or state in path.spool:
            return
        if not here:
            sooner = path.shorten(state[1] - path.step)
            if sooner is not None:
                self._await(path, sooner)
        elif not path.at_end:
            self._save(path)

    def _stop(self, event: LeaseStopped) -> None:
        """A path is told to end at its next step; one that has trained its last step is ending already."""
        path = self._paths.get(event.fence)
        if path is None or path.done or path.stopping is not None:
            return
        path.catch_up(self.agenda.now)
        if path.at_end:
            return
        path.stopping = event
        if path.rests(self.agenda.now):
            path.abandon()
            self.agenda.at(path.clock, Turn.SAVES, partial(self._proceed, path, path.version))
            return
        sooner = path.shorten(1)
        if sooner is not None:
            self._await(path, sooner)

    def _release(self, path: TimedPath) -> None:
        """A path that was told to end gives its slot back, once all that it saved is durable."""
        if not self._stands(path) or path.done:
            return
        stopping = path.stopping
        assert stopping is not None
        path.halted = True
        if stopping.save and path.step > path.order.stages[0].start and not path.is_saved:
            state = path.save()
            self.agenda.at(
                path.clock + self._clockwork.publish, Turn.SAVES, partial(self._publish, path, state)
            )
        if not path.spool:
            self._give_back(path, stopping)
            self._report(path)

    def _give_back(self, path: TimedPath, stopping: LeaseStopped) -> None:
        path.slot.holds = (path.state, path.model)
        path.end(ReleasedReport(reason=stopping.reason))

    def _stands(self, path: TimedPath) -> bool:
        return self._paths.get(path.order.fence) is path


def _watched(study: Study) -> bool:
    """Whether every evaluation may lead to something."""
    return study.policy.watches or bool(study.spec.endings)


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
