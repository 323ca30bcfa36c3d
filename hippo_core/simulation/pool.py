"""The slots of a simulation and what they do: each keeps the contract of a real one (``hippo_core.simulation.path``).

Between two moments at which the engine could decide something, steps are trained only when the next one has come. What
a path has to tell goes to whoever runs the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from hippo_core.engine.commands import Command, ReleasedReport, TrainedReport
from hippo_core.engine.events import LeaseGranted, LeaseStopped
from hippo_core.engine.orders import order
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.errors import InvariantViolated
from hippo_core.lease import State
from hippo_core.lease_order import LeaseOrder, PrepareOrder
from hippo_core.simulation.agenda import Agenda, Turn
from hippo_core.simulation.costs import Clockwork, Host
from hippo_core.simulation.response import Model, Response
from hippo_core.simulation.timed_path import SimulatedSlot, TimedPath
from hippo_core.simulation.usage import Activity, Span, Usage

INCARNATION = "1"


class Pool:
    """The hosts that are there, with their slots, paths and what they saved.

    Args:
        state: The engine's.
        agenda: What happens next, and what time it is.
        response: What training comes to.
        clockwork: What things take.
        usage: What the slots did, which is noted there.
        stall_seconds: After how long without a step a path is given up.
        tell: Tells the engine.

    Attributes:
        hosts: By name.
        evaluate_every: By plan.
    """

    def __init__(
        self,
        state: EngineState,
        agenda: Agenda,
        response: Response,
        clockwork: Clockwork,
        usage: Usage,
        *,
        stall_seconds: float,
        tell: Callable[[Command], None],
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.evaluate_every: dict[int, int] = {}
        self._state = state
        self._agenda = agenda
        self._response = response
        self._clockwork = clockwork
        self._usage = usage
        self._stall_seconds = stall_seconds
        self._tell = tell
        self._slots: dict[tuple[str, int], SimulatedSlot] = {}
        self._paths: dict[int, TimedPath] = {}
        self._storage: dict[tuple[int, int, int], Model] = {}

    # Hosts

    def add(self, host: Host) -> None:
        """A host comes."""
        self.hosts[host.name] = host
        for index in range(host.slots):
            self._slots[host.name, index] = SimulatedSlot(host, index)

    def lose(self, host: Host) -> None:
        """A host goes, with what its slots have not told."""
        del self.hosts[host.name]
        for fence, path in list(self._paths.items()):
            if path.slot.host is host:
                path.lose(self._agenda.now)
                del self._paths[fence]
        for slot in self._slots.values():
            if slot.host is host:
                self._interrupt(slot)

    def end(self) -> None:
        """Nothing more happens: what is under way is cut off here."""
        for path in self._paths.values():
            path.lose(self._agenda.now)
        for slot in self._slots.values():
            self._interrupt(slot)

    # What the engine says

    def begin(self, event: LeaseGranted) -> None:
        """A slot begins a path, unless its host has gone."""
        state = self._state
        lease = state.leases.get(event.fence)
        if lease is None or event.worker not in self.hosts:
            return
        found = order(state, lease, self._stall_seconds)
        slot = self._slots[event.worker, event.slot]
        model, loaded = self._model(found, slot)
        path = TimedPath(
            found,
            self._response,
            model,
            slot=slot,
            study=state.studies[event.study].name,
            clockwork=self._clockwork,
            usage=self._usage,
            nodes=state.nodes,
            now=self._agenda.now,
            # The first evaluation of a program tells how long its steps take.
            watched=self._is_watched(event.plan) or not state.plans[event.plan].tree.costs.steps,
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

    def offer(self, fence: int, state: State) -> None:
        """A path is asked to save a state; it can where it has not passed it."""
        path = self._paths.get(fence)
        if path is None or path.done:
            return
        path.catch_up(self._agenda.now)
        here = path.state == state and path.step > path.order.stages[0].start and path.rests(self._agenda.now)
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

    def stop(self, event: LeaseStopped) -> None:
        """A path is told to end at its next step; one that has trained its last step is ending already."""
        path = self._paths.get(event.fence)
        if path is None or path.done or path.stopping is not None:
            return
        path.catch_up(self._agenda.now)
        if path.at_end:
            return
        path.stopping = event
        if path.rests(self._agenda.now):
            path.abandon()
            self._agenda.at(path.clock, Turn.SAVES, partial(self._proceed, path, path.version))
            return
        sooner = path.shorten(1)
        if sooner is not None:
            self._await(path, sooner)

    def prepare(self, name: str, orders: Mapping[int, PrepareOrder]) -> None:
        """Makes a host's idle slots ready for paths that are still to come; by slot what each is told."""
        if name not in self.hosts:
            orders = {}
        for index in self._state.workers[name].slots:
            self._make_ready(self._slots[name, index], orders.get(index))

    def give_up(self, fence: int) -> None:
        """A lease has ended: a path that does not know this yet is lost."""
        path = self._paths.pop(fence, None)
        if path is not None and not path.done:
            path.lose(self._agenda.now)

    def remove(self, checkpoint: tuple[int, int, int]) -> None:
        """What a lease, told last, saved at a step of a node is needed no more."""
        self._storage.pop(checkpoint, None)

    # Within

    def _make_ready(self, slot: SimulatedSlot, wanted: PrepareOrder | None) -> None:
        key = None if wanted is None else wanted.program_key
        if slot.prepared_for is not None and slot.prepared_for != key:
            self._interrupt(slot)
            slot.program, slot.prepared_for = "", None
        if wanted is None or slot.program == key:
            return
        slot.prepared_for = key
        slot.program, slot.holds = wanted.program_key, None
        plan, now = self._state.plans[wanted.plan], self._agenda.now
        slot.preparing = Span(
            host=slot.host.name,
            slot=slot.index,
            fence=0,
            study=self._state.studies[next(iter(plan.studies))].name,
            activity=Activity.SETUP,
            begin=now,
            end=now + self._clockwork.setup,
        )
        self._usage.book(slot.preparing)

    def _interrupt(self, slot: SimulatedSlot) -> None:
        """A slot is made ready no longer."""
        if slot.preparing is not None:
            self._usage.cut(slot.preparing, self._agenda.now)
            slot.preparing = None

    def _is_watched(self, plan: int) -> bool:
        state = self._state
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
        self._agenda.at(boundary, Turn.SAVES, partial(self._reach, path, path.version))

    def _reach(self, path: TimedPath, version: int) -> None:
        """A path has come to its boundary."""
        if path.version != version or not self._stands(path):
            return
        urgent = path.catch_up(self._agenda.now)
        if path.failure is not None:
            path.fail()
            self._report(path)
        elif urgent:
            self._report(path)  # what follows from it comes before the path goes on
            path.watched = self._is_watched(path.order.plan)
            self._agenda.at(self._agenda.now, Turn.SAVES, partial(self._proceed, path, path.version))
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
            self._agenda.at(durable, Turn.SAVES, partial(self._publish, path, state))
            if path.stopping is None:
                self._go_on(path)
            else:
                self._agenda.at(path.clock, Turn.ENDS, partial(self._release, path))
        elif durable > path.clock:
            self._agenda.at(path.clock, Turn.ENDS, partial(self._end, path, None))
            self._agenda.at(durable, Turn.SAVES, partial(self._publish, path, state))
        else:
            self._agenda.at(path.clock, Turn.ENDS, partial(self._end, path, state))

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
            path.catch_up(self._agenda.now)
        path.told()
        self._tell(path.report(path.slot.host.name, INCARNATION))

    def _release(self, path: TimedPath) -> None:
        """A path that was told to end gives its slot back, once all that it saved is durable."""
        if not self._stands(path) or path.done:
            return
        stopping = path.stopping
        assert stopping is not None
        path.halted = True
        if stopping.save and path.step > path.order.stages[0].start and not path.is_saved:
            state = path.save()
            self._agenda.at(
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
