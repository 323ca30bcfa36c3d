"""One trainer object, and the order in which its methods are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hippo_core.program import Program
from hippo_core.training import Trainer
from hippo_core.values import Scalar
from hippo_worker.hosting.context import HostContext
from hippo_worker.hosting.evaluation import capture_modes, restore_modes, without_trace
from hippo_worker.hosting.failures import InvalidTrainer
from hippo_worker.hosting.hyperparameters import Hyperparameters, changed
from hippo_worker.hosting.metrics import Unsettled, check_metrics
from hippo_worker.hosting.numerics import capture_numerics, restore_numerics
from hippo_worker.hosting.randomness import Generators, restore_random_state, seed_everything
from hippo_worker.hosting.runtime import require_threads


class TrainerFailed(Exception):
    """The user's code raised.

    Args:
        error: What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class user_code:  # noqa: N801  used as a function is
    """Tells errors of the trainer apart from those of the host: a context that raises them as TrainerFailed."""

    __slots__ = ()

    def __enter__(self) -> None:
        """What runs within is the user's."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, TrainerFailed):
            raise TrainerFailed(error) from error


class HostedTrainer:
    """A trainer that has been set up.

    Args:
        cls: Its class.
        program: What is trained.
        values: The values at the trial's step 0, which ``setup`` sees.
        device: "cpu" or "cuda".
        threads: torch's threads.
        data_dir: The worker's data folder.
        is_users: Whether a class comes from the bundle.

    Raises:
        TrainerFailed: ``setup`` did.
    """

    def __init__(
        self,
        cls: type[Trainer],
        *,
        program: Program,
        values: Mapping[str, Scalar],
        device: str,
        threads: int,
        data_dir: Path,
        is_users: Callable[[type], bool],
    ) -> None:
        self._device = device
        self._applied: Mapping[str, Scalar] = dict(values)
        self._read: set[str] = set()  # by apply, since setup
        self._read_all = False
        self._random: Generators | None = None  # those of its state, while that is at rest
        self._context = HostContext(
            program=program, values=values, device=device, data_dir=data_dir, is_users=is_users
        )
        seed_everything(program.seed)
        with user_code():
            self.trainer = cls()
            self.trainer.context = self._context
            self.trainer.setup(self._context)
            self._context.remember_setup(self.trainer)
            require_threads(threads)

    def can_serve(self, values: Mapping[str, Scalar]) -> bool:
        """Whether ``setup`` would have seen the same, had it been given these values."""
        return self._context.values_at_setup.looks_equal(values)

    def serve(self, values: Mapping[str, Scalar]) -> None:
        """From now on the object trains a trial that has these values at step 0."""
        self._context.values_at_setup.replace(values)

    def serve_first(self, values: Mapping[str, Scalar]) -> None:
        """The object, which was made ahead of its first trial, is as if it had been made now and with these values.

        ``can_serve`` tells whether it may be.
        """
        self.serve(values)
        self._applied = dict(values)
        self.restore_random()

    def apply(self, values: Mapping[str, Scalar], step: int) -> None:
        """Puts values in force before ``step``.

        Raises:
            TrainerFailed: ``apply`` raised, or never looks at a value that has changed.
        """
        with user_code():
            self.change(values, changed(self._applied, values), step)

    def apply_changes(self, values: Mapping[str, Scalar], step: int) -> None:
        """Puts values in force before ``step`` where they differ from those in force; raises as ``apply``."""
        if self.differs(values):
            self.apply(values, step)

    def differs(self, values: Mapping[str, Scalar]) -> bool:
        """Whether other values than these are in force."""
        return bool(changed(self._applied, values))

    def change(self, values: Mapping[str, Scalar], names: Sequence[str], step: int) -> None:
        """Puts values in force of which only these names' may differ; to be called within ``user_code``.

        Args:
            values: All values.
            names: Those that are known to have changed.
            step: The step from which on they are in force.
        """
        self._random = None
        hp = Hyperparameters(values)
        self._context.apply(self.trainer, hp)
        self._read |= hp.read
        self._read_all |= hp.read_all
        if not (self._read.issuperset(names) or self._read_all):
            name = next(name for name in names if name not in self._read)
            raise InvalidTrainer(
                f"{name} changes by step {step}, but apply() never reads it, so that the change has no effect.",
                f"Read hp[{name!r}] in apply(), or keep {name} constant.",
            )
        self._applied = values

    @property
    def train(self) -> Callable[[int], Any]:
        """The trainer's own ``train``, for steps up to the next look at its state; to be called in ``user_code``."""
        self._random = None
        return self.trainer.train

    def keep_random(self) -> Generators:
        """The state of the global generators that belongs to the trainer's.

        It is read once for each state of the trainer: whatever looks at that puts it back.
        """
        if self._random is None:
            self._random = Generators.capture(self._device)
        return self._random

    def restore_random(self) -> None:
        """Puts the global generators back; whoever else runs in the process may have drawn since the last path."""
        self.keep_random().restore()

    def evaluate(self) -> Unsettled:
        """Measures; leaves no trace of it."""
        roots = self._context.modules(self.trainer)
        with user_code(), without_trace(roots, self._device, self.keep_random()):
            return check_metrics(self.trainer.evaluate(), "evaluate")

    def state(self) -> dict[str, Any]:
        """All that later steps depend on; the tensors are the trainer's own. Leaves no trace."""
        roots, random = self._context.modules(self.trainer), self.keep_random()
        with user_code(), without_trace(roots, self._device, random):
            modes = capture_modes(roots)
            numerics = capture_numerics()
            return {
                "trainer": self.trainer.state_dict(),
                "modes": modes,
                "random": random.plain(),
                "numerics": numerics,
            }

    def load(self, state: Mapping[str, Any]) -> None:
        """Puts a state in place of the present one.

        Raises:
            TrainerFailed: ``load_state_dict`` raised; NotRestorable where a new trainer is needed.
        """
        self._random = None
        with user_code():
            self.trainer.load_state_dict(state["trainer"])
            restore_modes(self._context.modules(self.trainer), state["modes"])
        restore_numerics(state["numerics"])
        restore_random_state(state["random"])

    def close(self) -> None:
        """Ends the worker processes that the trainer has started by its context."""
        self._context.close()
