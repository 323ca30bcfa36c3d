"""A path in virtual time: when its steps end, and what the slot's time goes into."""

from __future__ import annotations

from collections.abc import Mapping

from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.orders import LeaseOrder
from hippo_core.lease import State
from hippo_core.plan import Node
from hippo_core.simulation.costs import Clockwork, Host, seconds
from hippo_core.simulation.path import SimulatedPath
from hippo_core.simulation.response import Model, Response
from hippo_core.simulation.usage import Activity, Span, Usage


class SimulatedSlot:
    """A place on a worker that trains one path at a time.

    Args:
        host: The worker.
        index: Its number there.

    Attributes:
        program: The program that it is set up for.
        holds: The state that it keeps in memory, with the model.
    """

    __slots__ = ("holds", "host", "index", "program")

    def __init__(self, host: Host, index: int) -> None:
        self.host = host
        self.index = index
        self.program = ""
        self.holds: tuple[State, Model] | None = None


class TimedPath(SimulatedPath):
    """A path whose steps are planned ahead up to the next boundary, the next state that it saves, and trained when
    the time has come.

    Args:
        order: The lease.
        response: What training comes to.
        model: The model of the state that the path starts from.
        slot: Where it is trained.
        study: The name of the study that it is leased for.
        clockwork: What things cost.
        usage: The accounts of the slots.
        nodes: The engine's: they tell what had been trained before.
        now: When the lease was granted.

    Attributes:
        clock: When the step that comes next begins.
        version: Of what is planned: a boundary of an earlier one does not come.
        stopping: What told it to end at its next step.
    """

    __slots__ = (
        "_ahead",
        "_at",
        "_booked",
        "_clockwork",
        "_nodes",
        "_saved",
        "_untold",
        "_usage",
        "clock",
        "slot",
        "stopping",
        "study",
        "version",
    )

    def __init__(
        self,
        order: LeaseOrder,
        response: Response,
        model: Model,
        *,
        slot: SimulatedSlot,
        study: str,
        clockwork: Clockwork,
        usage: Usage,
        nodes: Mapping[int, Node],
        now: int,
    ) -> None:
        super().__init__(order, response, model)
        last = order.stages[-1]
        self.saves.add((last.node, last.stop))
        self.slot = slot
        self.study = study
        self.clock = now
        self.version = 0
        self.stopping: LeaseStopped | None = None
        self._clockwork = clockwork
        self._usage = usage
        self._nodes = nodes
        self._saved = now
        self._ahead: list[tuple[int, int]] = []  # of the steps planned: what each takes, and when it ends
        self._at = 0  # the first of them that is not trained
        self._untold: list[Span] = []
        self._booked: Span | None = None

    def spend(self, activity: Activity, duration: int) -> None:
        """The slot does something before the next step."""
        if duration:
            self._booked = self._span(activity, self.clock, self.clock + duration)
            self._usage.book(self._booked)
            self.clock += duration

    def plan(self) -> int:
        """Plans the steps up to the next boundary; returns when that is."""
        stages, clockwork = self.order.stages, self._clockwork
        every, evaluate = self.order.program.evaluate_every, clockwork.evaluate
        periodic = self.order.checkpoint_every
        index, step, time = self.index, self.step, self.clock
        self._ahead, self._at = [], 0
        self.version += 1
        while True:
            stage = stages[index]
            duration = clockwork.step(stage.laws, step)
            step += 1
            time += duration + (evaluate if step % every == 0 else 0)
            self._ahead.append((duration, time))
            if (stage.node, step) in self.saves:
                return time
            if step % periodic == 0 if periodic is not None else time - self._saved >= clockwork.checkpoint:
                return time
            if step == stage.stop:
                index += 1

    def shorten(self, steps: int) -> int | None:
        """Makes the end of the next ``steps`` steps the boundary, if it would come later; returns when that is."""
        last = self._at + steps
        if last >= len(self._ahead):
            return None
        del self._ahead[last:]
        self.version += 1
        return self._ahead[-1][1]

    def catch_up(self, now: int) -> None:
        """Trains all steps that have ended by now."""
        clockwork = self._clockwork
        every = self.order.program.evaluate_every
        while self._at < len(self._ahead) and self._ahead[self._at][1] <= now:
            duration, end = self._ahead[self._at]
            self._at += 1
            evaluation = clockwork.evaluate if (self.step + 1) % every == 0 else 0
            again = self._nodes[self.order.stages[self.index].node].trained > self.step
            node, step = self.train(seconds(duration), seconds(evaluation))
            activity = Activity.LOST if again else Activity.TRAINING
            last = self._untold[-1] if self._untold else None
            if last is None or last.end != self.clock or last.node != node or last.activity is not activity:
                last = self._span(activity, self.clock, self.clock)
                last.node, last.start = node, step - 1
                self._untold.append(last)
            last.end, last.stop = end, step
            last.evaluation += evaluation
            self.clock = end

    def rests(self, now: int) -> bool:
        """Whether the state that the path is in is still there: no step has begun after it."""
        return self.clock >= now

    def save(self) -> State:
        """Saves the present state; it waits to be published when the clock has come."""
        state = self.state
        self.spool[state] = self.model
        self.spend(Activity.SAVE, self._clockwork.save)
        self._saved = self.clock
        return state

    def told(self) -> None:
        """What was trained has been reported: it is not lost any more."""
        for span in self._untold:
            self._usage.book(span)
        self._untold.clear()

    def lose(self, now: int) -> None:
        """The slot dies, or nobody waits for it any more: what was not reported is lost."""
        self.catch_up(now)
        for span in self._untold:
            span.activity = Activity.LOST
        self.told()
        if self._booked is not None:
            self._usage.cut(self._booked, now)
        if self.clock < now and not self.done:
            self._usage.book(self._span(Activity.LOST, self.clock, now))

    def _span(self, activity: Activity, begin: int, end: int) -> Span:
        host = self.slot.host
        return Span(
            host=host.name,
            slot=self.slot.index,
            fence=self.order.fence,
            study=self.study,
            activity=activity,
            begin=begin,
            end=end,
        )
