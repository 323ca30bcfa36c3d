"""The host: trains one path after the other in a process of its own, keeping the trainer warm between them."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError
from hippo_core.training import Trainer
from hippo_core.values import Scalar
from hippo_worker.hosting.failures import explain
from hippo_worker.hosting.hosted import HostedTrainer, TrainerFailed, user_code
from hippo_worker.hosting.link import Failed, Link, PathResult
from hippo_worker.hosting.loading import Code
from hippo_worker.hosting.loop import PathLoop
from hippo_worker.hosting.numerics import Plain, capture_numerics, restore_numerics
from hippo_worker.hosting.order import PathOrder, SetupOrder, StartFrom
from hippo_worker.hosting.read_ahead import ReadAhead
from hippo_worker.hosting.runtime import CUDA, is_broken, prepare
from hippo_worker.hosting.saving import Saver


@dataclass(slots=True)
class _Held:
    """The warm trainer, and the state that it is in."""

    hosted: HostedTrainer
    node: int
    step: int


class _StartLost(Exception):
    """The state to start from cannot be had; not the user's fault."""


class PathHost:
    """Trains paths of one program and one bundle, one at a time, all from one thread.

    It keeps the trainer object between paths, in the state that the last one ended in, and uses it again: as it
    is for a path that goes on from there, and after loading a state where ``setup`` would have seen the same values.

    Args:
        device: "cpu" or "cuda".
        threads: torch's threads, the program's ``resources.cpus``.
        memory_fraction: How much of the GPU's memory may be taken, above 0 and up to 1; None: all there is.

    Attributes:
        usable: Whether further paths can be trained. Not once the device has failed: only another process can then.
        ahead: Reads the states that paths to come start from, where it is told of them.
    """

    def __init__(self, device: str, threads: int, memory_fraction: float | None = None) -> None:
        self.usable = True
        self.ahead = ReadAhead(device)
        self._device = device
        self._threads = threads
        self._memory_fraction = memory_fraction
        self._saver = Saver()
        self._served: tuple[str, str] | None = None
        self._served_as: tuple[str, Path] | None = None  # the same, by the path that was told first
        self._code: Code | None = None
        self._class: type[Trainer] | None = None
        self._held: _Held | None = None
        self._fresh: HostedTrainer | None = None  # made for a path that is still to come; none is held then
        self._numerics: dict[str, Plain] = {}  # as the trainer's module has left them

    def holds(self) -> tuple[int, int, str] | None:
        """The state that is in memory: (node, step, program key)."""
        if self._held is None or self._served is None:
            return None
        return self._held.node, self._held.step, self._served[0]

    def make_ready(self, order: SetupOrder) -> None:
        """Makes a trainer for a path that is still to come; to be called before any path is trained, and once.

        It is used where ``setup`` would have seen the path's values, and thrown away where not: a path's trainer is
        the same either way, since each begins with the seed.

        Raises:
            TrainerFailed: It cannot be made. This process should train nothing then: who knows what was left behind.
        """
        self._require_served(order)
        fresh = self._make(order, self._load(order))
        fresh.keep_random()
        self._fresh = fresh

    def run(self, order: PathOrder, link: Link) -> PathResult:
        """Trains a path.

        Saves may still be under way when it returns; each is told by the link when it is written.

        Args:
            order: The path.
            link: Whom to tell; what it raises is raised.

        Raises:
            ValueError: The order is of another program or bundle than those before.
        """
        self._require_served(order)
        link.stage_started(order.stages[0].node)
        at = (order.stages[0].node, order.stages[0].start)
        loop: PathLoop | None = None
        try:
            code = self._load(order)
            self._held = self._start(order, code)
            self.ahead.has_started(order.fence)
            loop = PathLoop(order, link, self._held.hosted, self._saver, code, self._device, self._threads)
            result = loop.run()
            if loop.step > at[1]:
                self._held.node, self._held.step = loop.state
            self._held.hosted.keep_random()
            return result
        except TrainerFailed as error:
            self.usable = not is_broken(self._device)
            node, step = at if loop is None else loop.failing
            failed = self._explain(error, order, node, step)
        except _StartLost as error:
            failed = Failed(
                failure=FailureClass.INFRASTRUCTURE, message=str(error), traceback="", node=at[0], step=at[1]
            )
        except BaseException:
            # The link's: the trainer is somewhere in the path, and no state that anybody knows of.
            self._drop()
            raise
        finally:
            self.ahead.has_started(order.fence)
        loop = None  # else it would keep the trainer, and the memory that is to be given back
        self._drop()
        return failed

    def finish_saves(self) -> None:
        """Waits until everything that was saved is written and told."""
        self._saver.wait()

    def close(self) -> None:
        """Waits for the saves under way, and lets go of the trainer."""
        self.ahead.close()
        self._drop()
        self._saver.close()

    def _require_served(self, order: PathOrder | SetupOrder) -> None:
        if self._served_as == (order.program_key, order.code):
            return  # as most often: finding out what a path leads to asks the system for each of its folders
        served = (order.program_key, str(order.code.resolve()))
        if self._served is None:
            self._served = served
            self._served_as = order.program_key, order.code
            prepare(self._device, self._threads, order.program.deterministic, self._memory_fraction)
        elif self._served != served:
            raise ValueError(
                f"this host serves {self._served}, not {served}: code of two bundles never mixes"
            )

    def _load(self, order: PathOrder | SetupOrder) -> Code:
        if self._code is None:
            code = Code(order.code)
            with user_code():
                self._class = code.trainer_class(order.program.trainer)
                code.require_accounted()
            self._code = code
            self._numerics = capture_numerics()
            # What is imported now stays, hundreds of thousands of objects: looking through them for garbage, as is
            # done between two trainers, would take longer than many a step.
            gc.freeze()
        return self._code

    def _start(self, order: PathOrder, code: Code) -> _Held:
        """A trainer in the state that the path starts from."""
        start = order.start
        values = order.setup_laws.values(0)
        held = self._held
        if start is not None and held is not None and held.hosted.can_serve(values):
            if (held.node, held.step) == (start.node, start.step):
                held.hosted.serve(values)
                held.hosted.restore_random()
                return held
            if start.folder is not None and self._load_warm(held, order, start):
                return held
        if start is not None and start.folder is None:
            raise _StartLost(f"The state at step {start.step} of node {start.node} is no longer in memory.")
        held = None
        hosted = self._take_fresh(values) or self._make(order, code)
        if start is not None:
            hosted.load(self._read(order.fence, start))
        node, step = (order.stages[0].node, 0) if start is None else (start.node, start.step)
        return _Held(hosted, node, step)

    def _take_fresh(self, values: Mapping[str, Scalar]) -> HostedTrainer | None:
        """The trainer that was made ahead, where it can serve a path with these values; else there is none any more."""
        fresh = self._fresh
        if fresh is None or not fresh.can_serve(values):
            fresh = None
            self._drop()
            return None
        self._fresh = None
        fresh.serve_first(values)
        return fresh

    def _make(self, order: PathOrder | SetupOrder, code: Code) -> HostedTrainer:
        assert self._class is not None
        restore_numerics(self._numerics)  # a trainer before may have set others
        hosted = HostedTrainer(
            self._class,
            program=order.program,
            values=order.setup_laws.values(0),
            device=self._device,
            threads=self._threads,
            data_dir=order.data_dir,
            is_users=code.is_users,
        )
        with user_code():
            code.require_accounted()
        return hosted

    def _load_warm(self, held: _Held, order: PathOrder, start: StartFrom) -> bool:
        """Loads a state into the warm trainer; False where only a new one will do."""
        held.hosted.serve(order.setup_laws.values(0))
        try:
            held.hosted.load(self._read(order.fence, start))
        except TrainerFailed:
            # A new one shows whether the state is to blame, or what this one has become by training.
            return False
        held.node, held.step = start.node, start.step
        return True

    def _read(self, fence: int, start: StartFrom) -> Any:
        assert start.folder is not None
        try:
            return self.ahead.take(fence, start.folder)
        except (MemoryError, torch.OutOfMemoryError) as error:
            # Beside the trainer's own there is no room for the state; that is as if the trainer needed too much.
            raise TrainerFailed(error) from error
        except (HippoError, OSError) as error:
            raise _StartLost(f"The checkpoint at step {start.step} cannot be read: {error}") from error

    def _explain(self, error: TrainerFailed, order: PathOrder, node: int, step: int) -> Failed:
        words = explain(error.error, order.code.resolve())
        is_loaded = self._code is not None or words.failure is not FailureClass.INVALID
        failure = words.failure if is_loaded else FailureClass.PROGRAM
        return Failed(failure=failure, message=words.message, traceback=words.traceback, node=node, step=step)

    def _drop(self) -> None:
        """Lets go of the trainer, and of the memory that it took on the device."""
        if self._held is not None:
            self._held.hosted.close()
            self._held = None
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None
        gc.collect()
        if self._device == CUDA and self.usable:
            torch.cuda.empty_cache()
