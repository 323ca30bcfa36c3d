"""Training along a path: steps, changes of values, evaluations, saves, and what is told of them.

Per step the loop compares its number with the next change of values, calls ``train``, looks at what that returned, and
reads one byte and one clock. Everything else happens at boundaries: at states that are evaluated or saved, and when it
is time to tell.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from hippo_core.sequence import Laws
from hippo_core.values import Scalar
from hippo_worker.hosting.hosted import HostedTrainer, TrainerFailed, user_code
from hippo_worker.hosting.link import Link, OfferSavePoint, Released, StopPath, Trained
from hippo_worker.hosting.loading import Code
from hippo_worker.hosting.metrics import (
    FLUSH_SECONDS,
    MOST_PROGRESS_SECONDS,
    PROGRESS_PART,
    PROGRESS_SECONDS,
    Reporter,
    check_metrics,
)
from hippo_worker.hosting.order import PathOrder, StageOrder
from hippo_worker.hosting.runtime import CPU, require_threads
from hippo_worker.hosting.saving import Cadence, Destination, Saver

CHUNK = 512  #: how many steps ahead changes of values are looked up


class Changes:
    """The steps of a stage at which values change, looked up a stretch at a time.

    Args:
        laws: The stage's laws.
        start: Its first step, which counts as a change.
        stop: One past its last.

    Attributes:
        start: The first step.
        step: The next step with other values; the stage's end where there is none.
    """

    def __init__(self, laws: Laws, start: int, stop: int) -> None:
        self._laws = laws
        self._stop = stop
        self._seen = min(start + CHUNK, stop)  # changes before it are known
        self._ahead = laws.changes(start, self._seen)
        self._ahead.reverse()
        self.start = self.step = start

    def take(self) -> tuple[dict[str, Scalar], tuple[str, ...]]:
        """The values from that step on, and the names that they change; moves to the next one."""
        _, values, names = self._ahead.pop()
        while not self._ahead and self._seen < self._stop:
            first, self._seen = self._seen, min(self._seen + CHUNK, self._stop)
            self._ahead = self._laws.changes(first - 1, self._seen)[:0:-1]
        self.step = self._ahead[-1][0] if self._ahead else self._stop
        return values, names


class PathLoop:
    """Trains one path.

    Args:
        order: The path.
        link: Whom to tell.
        hosted: The trainer, in the state that the path starts from.
        saver: Writes what is saved.
        code: The bundle's code.
        device: "cpu" or "cuda".
        threads: torch's threads, which the trainer is to leave alone.

    Attributes:
        node: The node that is being trained.
        step: The step that is being trained; the trainer's state is that at this step.
    """

    def __init__(
        self,
        order: PathOrder,
        link: Link,
        hosted: HostedTrainer,
        saver: Saver,
        code: Code,
        device: str,
        threads: int,
    ) -> None:
        self._threads = threads
        self._order = order
        self._link = link
        self._hosted = hosted
        self._saver = saver
        self._code = code
        self._evaluate_every = order.program.evaluate_every
        self._save_points = set(order.save_points) | {order.end}
        self._began = self._told_at = time.perf_counter()
        self._cadence = Cadence(order.checkpoint_every, device == CPU, self._began)
        self._tell_at = self._began + PROGRESS_SECONDS
        self._saved: tuple[int, int] | None = None
        self._training = False
        self.node = order.stages[0].node
        self.step = order.stages[0].start
        self._reporter = Reporter(link, self.node, self.step)

    @property
    def state(self) -> tuple[int, int]:
        """The trainer's state, as (node, step): it belongs to the node that trained the step before it."""
        for stage in self._order.stages:
            if stage.start < self.step <= stage.stop:
                return stage.node, self.step
        start = self._order.start
        return (self.node if start is None else start.node), self.step

    @property
    def failing(self) -> tuple[int, int]:
        """The node and the step that a failure here is one of.

        That is the step in training; where a state is evaluated, saved or looked at, the step that led to it.
        """
        if self._training or self.step == self._order.stages[0].start:
            return self.node, self.step
        node, step = self.state
        return node, step - 1

    def run(self) -> Trained | Released:
        """Trains all stages, or until it is told to stop.

        Raises:
            TrainerFailed: The user's code raised, see `failing`; what was trained before has been told.
        """
        try:
            for number, stage in enumerate(self._order.stages):
                if number:
                    self._link.stage_started(stage.node)
                    self._reporter = Reporter(self._link, stage.node, stage.start)
                self.node = stage.node
                released = self._stage(stage, first=number == 0)
                if released is not None:
                    return released
        except TrainerFailed:
            # A device that has failed cannot give the numbers that lie on it; the failure itself is what counts.
            with contextlib.suppress(RuntimeError):
                self._reporter.flush(self.step)
            raise
        return Trained()

    def _stage(self, stage: StageOrder, first: bool) -> Released | None:
        changes = Changes(stage.laws, stage.start, stage.stop)
        begins = first
        while True:
            released = self._listen()
            if released is not None:
                return released
            if self.step == stage.stop:
                self._tell()
                return None
            self._train(changes, self._boundary(stage), begins)
            begins = False
            self._after_steps()

    def _boundary(self, stage: StageOrder) -> int:
        """The next state at which something is to be done."""
        step = self.step
        if self._saver.lacks_memory:
            return (
                step + 1
            )  # what a state takes is known after the first step, with which optimizers make theirs
        nearest = min(stage.stop, step - step % self._evaluate_every + self._evaluate_every)
        periodic = self._cadence.next_step(step)
        if periodic is not None:
            nearest = min(nearest, periodic)
        ahead = [at for node, at in self._save_points if node == stage.node and at > step]
        return min([nearest, *ahead])

    def _train(self, changes: Changes, boundary: int, begins: bool) -> None:
        """Trains up to a boundary, or until there is something to hear or to tell."""
        started = time.perf_counter()
        self._training = True  # and stays so where it fails
        try:
            with user_code():
                self._train_steps(changes, boundary, begins)
            self._training = False
        finally:
            self._reporter.spent(time.perf_counter() - started, 0.0)

    def _train_steps(self, changes: Changes, boundary: int, begins: bool) -> None:
        train, flag, clock = self._hosted.train, self._link.flag, time.perf_counter
        hosted, start = self._hosted, changes.start
        reporter, tell_at, step, change = self._reporter, self._tell_at, self.step, changes.step
        try:
            while step < boundary:
                if step == change:
                    values, names = changes.take()
                    if step > start:
                        hosted.change(values, names, step)
                    elif begins:  # always, as a state may have been loaded
                        hosted.apply(values, step)
                    else:
                        hosted.apply_changes(values, step)
                    change = changes.step
                returned: Any = train(step)
                if returned is not None and reporter.trained(step + 1, check_metrics(returned, "train")):
                    tell_at = self._tell_at = 0.0
                step += 1
                if flag[0] or clock() >= tell_at:
                    break
        finally:
            self.step = step

    def _after_steps(self) -> None:
        """Evaluates, saves and tells, as is due at the present state."""
        if self.step % self._evaluate_every == 0:
            started = time.perf_counter()
            try:
                many = self._reporter.evaluated(self.step, self._hosted.evaluate())
            finally:
                self._reporter.spent(0.0, time.perf_counter() - started)
            if self._order.watched or many:
                self._tell_at = min(self._tell_at, self._told_at + FLUSH_SECONDS)
        now = time.perf_counter()
        wanted = (self.node, self.step) in self._save_points
        if wanted or self._cadence.is_due(self.step, now, self._saver):
            self._save()
        elif now >= self._tell_at:
            self._tell()
        if self._saver.lacks_memory:
            with user_code():
                self._saver.reserve(self._hosted.state)

    def _save(self) -> None:
        node, step = self.state
        if self._saved == (node, step):
            return
        # Told first: whoever hears of a checkpoint knows of the steps that lead to it.
        self._tell()
        folder = self._order.spool / f"{self._order.fence}-{node}-{step}"
        to = Destination(node=node, step=step, folder=folder, link=self._link)
        with user_code():
            blocked_seconds = self._saver.save(self._hosted.state, to)
        self._saved = (node, step)
        self._cadence.saved(time.perf_counter(), blocked_seconds, self._saver)

    def _tell(self) -> None:
        with user_code():
            self._code.require_accounted()
            require_threads(self._threads)
            # What went wrong on a device long after the trainer called for it comes to light here.
            self._reporter.settle()
        self._reporter.flush(self.step)
        self._told_at = time.perf_counter()
        # The worker, the server and its database have some 5 ms to do for each telling, beside training.
        pause = min(PROGRESS_PART * (self._told_at - self._began), MOST_PROGRESS_SECONDS)
        self._tell_at = self._told_at + max(pause, PROGRESS_SECONDS)

    def _listen(self) -> Released | None:
        flag = self._link.flag
        if not flag[0]:
            return None
        # Cleared first: what is queued from now on sets it again.
        flag[0] = 0
        for instruction in self._link.instructions():
            if isinstance(instruction, OfferSavePoint):
                self._answer(instruction)
            elif isinstance(instruction, StopPath) and self._order.end != (self.node, self.step):
                return self._release(instruction)
        return None

    def _answer(self, offer: OfferSavePoint) -> None:
        point = (offer.node, offer.step)
        will = self._saved == point or self._is_ahead(offer)
        self._link.answered(offer.node, offer.step, will)
        if will:
            self._save_points.add(point)
            if point == (self.node, self.step):
                self._save()

    def _is_ahead(self, offer: OfferSavePoint) -> bool:
        """Whether the state is one of this path and not passed."""
        ahead = False
        for stage in self._order.stages:
            ahead = ahead or stage.node == self.node
            if ahead and stage.node == offer.node:
                return max(stage.start + 1, self.step) <= offer.step <= stage.stop
        return False

    def _release(self, stop: StopPath) -> Released:
        if stop.save and self.step > self._order.stages[0].start:
            self._save()
        self._tell()
        return Released(reason=stop.reason)
