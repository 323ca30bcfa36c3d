"""A lease as its worker holds it: what is to be trained, what is to be said of it, and which saves are still to come.

Its life here: queued for a slot, trained by the slot's runner, then kept until its saves are durable and all that was
said of it is acknowledged. ``drop`` ends it at any time: nothing is said or published on its behalf after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    ReleasedReport,
    ReportItem,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
)
from hippo_core.lease_order import LeaseOrder
from hippo_worker.reports import Outbox
from hippo_worker.runner.messages import Stop

State = tuple[int, int]  #: node, step


class Save(Enum):
    """What has become of a state that the runner saved."""

    WAITING = auto()  #: written, to be published
    KEPT = auto()  #: durable
    LOST = auto()  #: it failed, or gave way to a later one


Ending = TrainedReport | FailedReport | ReleasedReport


class Lease:
    """A path granted to one of the worker's slots.

    Args:
        order: What is to be trained.
        outbox: Takes what is to be said of it.
        on_change: Called whenever there is something to be said, or the lease may be over.
    """

    def __init__(self, order: LeaseOrder, outbox: Outbox, on_change: Callable[[], None]) -> None:
        self.order = order
        self.outbox = outbox
        self.dropped = asyncio.Event()
        self.unwanted = asyncio.Event()  #: it was told to end, or dropped
        self.stop: Stop | None = None
        self.ending: Ending | None = None
        self.publishing = (
            asyncio.Lock()
        )  #: first come, first served: saves become durable in the order of their steps
        #: the step in training, as node and step; where none is left, the last one
        self.position: State = (order.stages[0].node, order.stages[0].start)
        self.on_steps: Callable[[StepsReport], None] = lambda report: None  #: called as the path comes on
        self._on_change = on_change
        self.promised = {*order.save_points, self.end}  #: states that the server counts on
        self._offered: dict[State, None] = {}
        self._answers: set[State] = set()
        self._saves: dict[State, Save] = {}
        self._all_known = False
        self._settled = asyncio.Event()

    @property
    def fence(self) -> int:
        """The lease's number."""
        return self.order.fence

    @property
    def end(self) -> State:
        """The state at the end of the path."""
        last = self.order.stages[-1]
        return last.node, last.stop

    def steps_after(self, state: State) -> int:
        """How many steps the path has beyond one of its states."""
        nodes = [stage.node for stage in self.order.stages]
        rest = self.order.stages[nodes.index(state[0]) :]
        return sum(stage.stop - stage.start for stage in rest) - (state[1] - rest[0].start)

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.dropped.is_set() or (self.ending is not None and self.settled and self.outbox.empty)

    @property
    def kept_all(self) -> bool:
        """Whether the path was trained and every state of it is durable: nothing of it is left on the way."""
        trained = isinstance(self.ending, TrainedReport)
        return trained and all(save is Save.KEPT for save in self._saves.values())

    def say(self, item: ReportItem) -> None:
        """Something happened; it is reported unless nothing is taken in any more: dropped, failed, given back."""
        if self.dropped.is_set() or isinstance(self.ending, FailedReport | ReleasedReport):
            return
        if isinstance(item, StepsReport):
            self._advance(item.node, item.stop)
            self.on_steps(item)
        if isinstance(item, AnsweredReport):
            if (item.node, item.step) in self._answers:
                return  # while the path waited for its turn
            item = self._answered(item)
        self.outbox.add(item)
        self._on_change()

    def say_end(self, ending: Ending) -> None:
        """The path ended. Offers that its runner left open are answered first."""
        if self.ending is not None:
            return
        for node, step in [state for state in self._offered if state not in self._answers]:
            # A state of this path that is saved or on its way there is one that will be.
            self.say(AnsweredReport(node=node, step=step, will=(node, step) in self._saves))
        self.say(ending)
        self.ending = ending
        self._look()
        self._on_change()

    def offer(self, state: State) -> bool:
        """Notes an offered save point; tells whether it is new, and so to be passed on."""
        if state in self._offered:
            return False
        self._offered[state] = None
        return True

    def is_on_path(self, state: State) -> bool:
        """Whether a state is one of the path's."""
        return any(
            stage.node == state[0] and stage.start < state[1] <= stage.stop for stage in self.order.stages
        )

    def answer(self, state: State) -> None:
        """Answers an offer without the runner: the path has not begun, or has ended."""
        will = self.is_on_path(state) if self.ending is None else state in self._saves
        self.say(AnsweredReport(node=state[0], step=state[1], will=will))

    def begins_anew(self) -> None:
        """Its runner was gone before the path had begun: what that was offered is part of the next one's order."""
        for state in [state for state in self._offered if state not in self._answers]:
            self.answer(state)

    def drop(self) -> None:
        """The lease no longer stands."""
        self.dropped.set()
        self.unwanted.set()
        self._settled.set()
        self._on_change()

    def end_early(self, stop: Stop) -> None:
        """The path is to end at its next step."""
        self.stop = stop
        self.unwanted.set()

    def save_begins(self, state: State) -> None:
        """The files of a state are written; it is to be published."""
        self._know(state, Save.WAITING)

    def save_ends(self, state: State, *, kept: bool) -> None:
        """The state is durable, or was said to fail, or is left out."""
        self._know(state, Save.KEPT if kept else Save.LOST)

    def no_more_saves(self) -> None:
        """Every save that the path began is known."""
        self._all_known = True
        self._look()

    def lost_saves(self, reason: str) -> None:
        """The runner is gone: what it promised to save and has not written will not come."""
        self._give_up(reason)
        self.no_more_saves()

    @property
    def settled(self) -> bool:
        """Whether no save is on its way any more."""
        return self._settled.is_set()

    async def until_settled(self) -> None:
        """Waits until no save is on its way any more."""
        await self._settled.wait()

    def is_superseded(self, state: State) -> bool:
        """Whether the server does not wait for this state, and a later one of the path is to be published."""
        return state not in self.promised and self.saved_later(state)

    def saved_later(self, state: State) -> bool:
        """Whether a later state of the path is to be published."""
        return any(save is Save.WAITING and other[1] > state[1] for other, save in self._saves.items())

    def _know(self, state: State, save: Save) -> None:
        self._saves[state] = save
        # The save of a path's end is its last one.
        self._all_known = self._all_known or state == self.end
        self._look()

    def _look(self) -> None:
        if not self._all_known:
            return
        if isinstance(self.ending, TrainedReport):
            self._give_up("The path went by without saving this state.")
        if Save.WAITING not in self._saves.values():
            self._settled.set()
            self._on_change()

    def _give_up(self, reason: str) -> None:
        """Says of every state that the server counts on, and that was never written, that it will not come."""
        for node, step in sorted(self.promised - self._saves.keys()):
            self._saves[node, step] = Save.LOST
            self.say(SaveFailedReport(node=node, step=step, reason=reason))

    def _answered(self, item: AnsweredReport) -> AnsweredReport:
        """Notes an answer. A runner does not know whether what it wrote was published, so a loss is told instead."""
        state = (item.node, item.step)
        self._answers.add(state)
        if not item.will:
            return item
        if self._saves.get(state) is Save.LOST:
            return AnsweredReport(node=item.node, step=item.step, will=False)
        self.promised.add(state)
        return item

    def _advance(self, node: int, stop: int) -> None:
        for stage, following in zip(self.order.stages, self.order.stages[1:], strict=False):
            if (stage.node, stage.stop) == (node, stop):
                self.position = (following.node, following.start)
                return
        self.position = (node, stop - 1 if (node, stop) == self.end else stop)
