"""A path in training, as the engine sees it: the contract that a worker keeps, without time and without faults.

Whoever owns the path says when a step is trained, a state published, a report sent. The simulator does so by the
clock of virtual time, the engine's tests by chance.
"""

from __future__ import annotations

from collections.abc import Mapping

from hippo_core.engine.commands import (
    AnsweredReport,
    MetricsReport,
    PublishedReport,
    Report,
    ReportItem,
    StepsReport,
)
from hippo_core.lease import State
from hippo_core.lease_order import LeaseOrder
from hippo_core.simulation.response import Model, Response
from hippo_core.values import Scalar

DIGEST = "simulated"

Result = tuple[Model, dict[str, float] | None]
"""What a step came to: the model, and its metrics where it was evaluated."""


class SimulatedPath:
    """A lease that a slot trains.

    Args:
        order: The lease.
        response: What training comes to.
        model: The model of the state that the path starts from.

    Attributes:
        index: The stage of the step that comes next.
        step: The step that comes next; the model is that of the state at this step.
        saves: The states to save.
        spool: Models that were saved and wait to be published, by state.
        number: Of the last report.
        done: No step is trained any more.
    """

    __slots__ = (
        "_constant",
        "_evaluate_seconds",
        "_items",
        "_told",
        "_train_seconds",
        "done",
        "index",
        "model",
        "number",
        "order",
        "response",
        "saves",
        "spool",
        "step",
    )

    def __init__(self, order: LeaseOrder, response: Response, model: Model) -> None:
        self.order = order
        self.response = response
        self.model = model
        self.index = 0
        self.step = order.stages[0].start
        self.saves: set[State] = set(order.save_points)
        self.spool: dict[State, Model] = {}
        self.number = 0
        self.done = False
        self._constant: dict[int, Mapping[str, Scalar]] = {}  # by stage: values that stay
        self._items: list[ReportItem] = []
        self._told = self.step  # all steps of the present stage below it are among the items, or were told
        self._train_seconds = 0.0
        self._evaluate_seconds = 0.0

    @property
    def has_news(self) -> bool:
        """Whether there is anything that the engine has yet to be told."""
        return bool(self._items) or self.step > self._told

    @property
    def state(self) -> State:
        """The state that the model is in, by the node that trained the step before it.

        For a path that has not begun, by the node that trains the step after it.
        """
        if self.index and self.step == self.order.stages[self.index].start:
            return self.order.stages[self.index - 1].node, self.step
        return self.order.stages[self.index].node, self.step

    @property
    def at_end(self) -> bool:
        """Whether all steps are trained."""
        return self.step == self.order.stages[-1].stop

    def train(self, train_seconds: float, evaluate_seconds: float) -> State:
        """Trains a step, and evaluates where it is due.

        Args:
            train_seconds: What the step is said to have taken.
            evaluate_seconds: What the evaluation is said to have taken, where there is one.

        Returns:
            The state that the step led to.
        """
        return self.advance(self.foresee(self.index, self.step, self.model), train_seconds, evaluate_seconds)

    def foresee(self, index: int, step: int, model: Model) -> Result:
        """What a step of a stage comes to."""
        values = self._constant.get(index)
        if values is None:
            laws = self.order.stages[index].laws
            values = laws.values(step)
            if laws.constant:
                self._constant[index] = values
        after = self.response.train(model, step, values)
        evaluated = (step + 1) % self.order.program.evaluate_every == 0
        return after, self.response.evaluate(after) if evaluated else None

    def advance(self, result: Result, train_seconds: float, evaluate_seconds: float) -> State:
        """Takes the result of the step that comes next; returns the state that it led to."""
        stage = self.order.stages[self.index]
        self.model, metrics = result
        self.step += 1
        self._train_seconds += train_seconds
        if metrics is not None:
            self._evaluate_seconds += evaluate_seconds
            self._items.append(
                MetricsReport(node=stage.node, step=self.step, metrics=metrics, training={}, evaluated=True)
            )
        if self.step == stage.stop and not self.at_end:
            self._gather_steps()
            self.index += 1
        return stage.node, self.step

    def is_ahead(self, state: State) -> bool:
        """Whether steps yet to be trained lead to a state."""
        if self.done:
            return False
        for index, stage in enumerate(self.order.stages):
            if stage.node == state[0] and index >= self.index:
                position = self.step if index == self.index else stage.start
                return position < state[1] <= stage.stop
        return False

    def answer(self, state: State, will: bool) -> None:
        """Says whether an offered state will be saved."""
        self.tell(AnsweredReport(node=state[0], step=state[1], will=will))
        if will:
            self.saves.add(state)

    def publish(self, state: State, size_bytes: int = 1) -> Model:
        """Takes a model from the spool and says that it is durable, and how large."""
        self.tell(
            PublishedReport(
                node=state[0],
                step=state[1],
                size_bytes=size_bytes,
                digest=DIGEST,
                blocked_seconds=0.0,
                total_seconds=0.0,
            )
        )
        return self.spool.pop(state)

    def end(self, item: ReportItem) -> None:
        """Ends the training with what is said of it."""
        self.done = True
        self.tell(item)

    def tell(self, item: ReportItem) -> None:
        """Has the engine told of something, after the steps that led there."""
        self._gather_steps()
        self._items.append(item)

    def report(self, worker: str, incarnation: str) -> Report:
        """All that the engine has yet to be told."""
        self._gather_steps()
        self.number += 1
        items, self._items = tuple(self._items), []
        return Report(
            worker=worker,
            incarnation=incarnation,
            fence=self.order.fence,
            number=self.number,
            items=items,
        )

    def _gather_steps(self) -> None:
        if self.step == self._told:
            return
        self._items.append(
            StepsReport(
                node=self.order.stages[self.index].node,
                start=self._told,
                stop=self.step,
                train_seconds=self._train_seconds,
                evaluate_seconds=self._evaluate_seconds,
            )
        )
        self._told = self.step
        self._train_seconds = self._evaluate_seconds = 0.0
