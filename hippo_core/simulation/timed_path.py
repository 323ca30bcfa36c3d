"""A path in virtual time: when its steps end, and what the slot's time goes into."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hippo_core.engine.commands import FailedReport
from hippo_core.engine.events import LeaseStopped
from hippo_core.engine.states import FailureClass
from hippo_core.errors import InvalidStudy
from hippo_core.lease import State
from hippo_core.lease_order import LeaseOrder
from hippo_core.plan import Node
from hippo_core.simulation.costs import Clockwork, Host, seconds
from hippo_core.simulation.path import Result, SimulatedPath
from hippo_core.simulation.response import Model, Response, TrainingFailed
from hippo_core.simulation.usage import Activity, Span, Usage


class SimulatedSlot:
    """A place on a worker that trains one path at a time.

    Args:
        host: The worker.
        index: Its number there.

    Attributes:
        program: The program that it is set up for.
        prepared_for: The program that it was made ready for; None: it trained since, or was not.
        preparing: That, in time; None: it trained since, or was not.
        holds: The state that it keeps in memory, with the model.
    """

    __slots__ = ("holds", "host", "index", "prepared_for", "preparing", "program")

    def __init__(self, host: Host, index: int) -> None:
        self.host = host
        self.index = index
        self.program = ""
        self.prepared_for: str | None = None
        self.preparing: Span | None = None
        self.holds: tuple[State, Model] | None = None


@dataclass(slots=True)
class _Planned:
    """A step that is planned.

    Attributes:
        duration: What it takes.
        evaluation: What its evaluation takes.
        end: When both are done.
        result: What it comes to; or why that is not known, or that it fails, which matters if the time comes.
        is_urgent: Whether it is to be told at once.
    """

    duration: int
    evaluation: int
    end: int
    result: Result | InvalidStudy | TrainingFailed
    is_urgent: bool


class TimedPath(SimulatedPath):
    """A path whose steps are planned ahead up to the next boundary, and trained when the time has come.

    A boundary is a state that is saved, or one whose metrics are told at once because of what may follow.

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
        watched: Whether every evaluation is told at once.

    Attributes:
        clock: When the step that comes next begins.
        version: Of what is planned: a boundary of an earlier one does not come.
        stopping: What told it to end at its next step.
        halted: Whether it has, so that it trains no further.
        watched: Whether every evaluation is told at once, so that each is a boundary.
        failure: Why the step that comes next has failed.
    """

    __slots__ = (
        "_ahead",
        "_at",
        "_booked",
        "_clockwork",
        "_last_saved",
        "_nodes",
        "_objectives",
        "_saved",
        "_untold",
        "_usage",
        "clock",
        "failure",
        "halted",
        "slot",
        "stopping",
        "study",
        "version",
        "watched",
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
        watched: bool,
    ) -> None:
        super().__init__(order, response, model)
        last = order.stages[-1]
        self.saves.add((last.node, last.stop))
        self.slot = slot
        self.study = study
        self.clock = now
        self.version = 0
        self.stopping: LeaseStopped | None = None
        self.halted = False
        self.watched = watched
        self.failure: TrainingFailed | None = None
        self._clockwork = clockwork
        self._usage = usage
        self._nodes = nodes
        self._objectives = frozenset(order.objectives)
        self._saved = now
        self._last_saved: State | None = None
        self._ahead: list[_Planned] = []
        self._at = 0  # the first of them that is not trained
        self._untold: list[Span] = []
        self._booked: Span | None = None

    def await_lease(self) -> None:
        """The slot idles until the lease has come to it."""
        self.clock += self._clockwork.lease

    def spend(self, activity: Activity, duration: int) -> None:
        """The slot does something before the next step."""
        if duration:
            self._booked = self._span(activity, self.clock, self.clock + duration)
            self._usage.book(self._booked)
            self.clock += duration

    def await_setup(self, done: int) -> None:
        """The slot is still being made ready, which began before the lease came."""
        self.clock = max(self.clock, done)

    def plan(self) -> int:
        """Plans the steps up to the next boundary; returns when that is."""
        stages, clockwork = self.order.stages, self._clockwork
        every = self.order.program.evaluate_every
        index, step, model, time = self.index, self.step, self.model, self.clock
        self.abandon()
        while True:
            stage = stages[index]
            duration = clockwork.step(stage.laws, step)
            evaluation = clockwork.evaluate if (step + 1) % every == 0 else 0
            time += duration + evaluation
            result = self._result(index, step, model)
            planned = _Planned(duration, evaluation, time, result, self._is_urgent(result))
            self._ahead.append(planned)
            step += 1
            if planned.is_urgent or self._saves_at((stage.node, step), time):
                return time
            assert isinstance(planned.result, tuple)
            model = planned.result[0]
            if step == stage.stop:
                index += 1

    def _result(self, index: int, step: int, model: Model) -> Result | InvalidStudy | TrainingFailed:
        try:
            return self.foresee(index, step, model)
        except (InvalidStudy, TrainingFailed) as error:
            return error

    def _is_urgent(self, result: Result | InvalidStudy | TrainingFailed) -> bool:
        """Whether metrics may have consequences at once: a policy watches, or they are not as they should be."""
        if isinstance(result, Exception):
            return True
        metrics = result[1]
        if metrics is None:
            return False
        return (
            self.watched
            or not all(map(math.isfinite, metrics.values()))
            or not self._objectives <= metrics.keys()
        )

    def saves_now(self) -> bool:
        """Whether the state that the path is in is one to save, and is not saved."""
        return not self.is_saved and self._saves_at(self.state, self.clock)

    @property
    def is_saved(self) -> bool:
        """Whether the state that the path is in is the one that it saved last."""
        return self._last_saved == self.state

    def _saves_at(self, state: State, time: int) -> bool:
        if state in self.saves:
            return True
        every = self.order.checkpoint_every
        if every is not None:
            return state[1] % every == 0
        return time - self._saved >= self._clockwork.checkpoint

    def abandon(self) -> None:
        """Plans nothing any more."""
        self._ahead, self._at = [], 0
        self.version += 1

    def shorten(self, steps: int) -> int | None:
        """Makes the end of the next ``steps`` steps the boundary.

        Args:
            steps: How many, at least 1.

        Returns:
            When that is; None: the boundary was not later.
        """
        last = self._at + steps
        if last >= len(self._ahead):
            return None
        del self._ahead[last:]
        self.version += 1
        return self._ahead[-1].end

    def catch_up(self, now: int) -> bool:
        """Trains all steps that have ended by now; tells whether the last of them is to be told at once.

        Raises:
            InvalidStudy: The response does not know what one of them came to.
        """
        urgent = False
        while self._at < len(self._ahead) and self._ahead[self._at].end <= now:
            planned = self._ahead[self._at]
            if isinstance(planned.result, InvalidStudy):
                raise planned.result
            if isinstance(planned.result, TrainingFailed):
                self.failure = planned.result
                return True
            self._at += 1
            again = self._nodes[self.order.stages[self.index].node].trained > self.step
            node, step = self.advance(planned.result, seconds(planned.duration), seconds(planned.evaluation))
            activity = Activity.LOST if again else Activity.TRAINING
            last = self._untold[-1] if self._untold else None
            if last is None or last.end != self.clock or last.node != node or last.activity is not activity:
                last = self._span(activity, self.clock, self.clock)
                last.node, last.start = node, step - 1
                self._untold.append(last)
            last.end, last.stop = planned.end, step
            last.evaluation += planned.evaluation
            self.clock = planned.end
            urgent = planned.is_urgent
        return urgent

    def rests(self, now: int) -> bool:
        """Whether the state that the path is in is still there: no step has begun after it."""
        return self.clock >= now

    def save(self) -> State:
        """Saves the present state; it waits to be published when the clock has come."""
        state = self.state
        self.spool[state] = self.model
        self._last_saved = state
        self.spend(Activity.SAVE, self._clockwork.save)
        self._saved = self.clock
        return state

    def fail(self) -> None:
        """Ends at the step that has failed, whose time is lost."""
        self.spend(Activity.LOST, self._ahead[self._at].end - self.clock)
        self.end(
            FailedReport(
                failure=FailureClass.INVALID,  # known to fail: it is not tried again
                message=str(self.failure),
                traceback="",
                node=self.order.stages[self.index].node,
                step=self.step,
            )
        )

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
