"""One trainer object, and the order in which its methods are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
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
from hippo_worker.hosting.randomness import capture_random_state, restore_random_state, seed_everything
from hippo_worker.hosting.runtime import require_threads


class TrainerFailed(Exception):
    """The user's code raised.

    Args:
        error: What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def user_code() -> Iterator[None]:
    """Tells errors of the trainer apart from those of the host."""
    try:
        yield
    except TrainerFailed:
        raise
    except (Exception, SystemExit) as error:
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
        self._read_by_apply = Hyperparameters({})
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

    def apply(self, values: Mapping[str, Scalar], step: int) -> None:
        """Puts values in force before ``step``.

        Raises:
            TrainerFailed: ``apply`` raised, or never looks at a value that has changed.
        """
        self._put(values, changed(self._applied, values), step)

    def apply_changes(self, values: Mapping[str, Scalar], step: int) -> None:
        """Puts values in force before ``step`` where they differ from those in force; raises as ``apply``."""
        names = changed(self._applied, values)
        if names:
            self._put(values, names, step)

    def differs(self, values: Mapping[str, Scalar]) -> bool:
        """Whether other values than these are in force."""
        return bool(changed(self._applied, values))

    def _put(self, values: Mapping[str, Scalar], names: list[str], step: int) -> None:
        hp = Hyperparameters(values)
        with user_code():
            self._context.apply(self.trainer, hp)
            self._read_by_apply.read |= hp.read
            self._read_by_apply.read_all |= hp.read_all
            for name in names:
                if not self._read_by_apply.has_read(name):
                    raise InvalidTrainer(
                        f"{name} changes by step {step}, but apply() never reads it, so that the change has no effect.",
                        f"Read hp[{name!r}] in apply(), or keep {name} constant.",
                    )
        self._applied = values

    def evaluate(self) -> Unsettled:
        """Measures; leaves no trace of it."""
        with user_code(), without_trace(self._context.modules(self.trainer), self._device):
            return check_metrics(self.trainer.evaluate(), "evaluate")

    def state(self) -> dict[str, Any]:
        """All that later steps depend on; the tensors are the trainer's own. Leaves no trace."""
        roots = self._context.modules(self.trainer)
        with user_code(), without_trace(roots, self._device):
            random = capture_random_state(self._device)
            modes = capture_modes(roots)
            numerics = capture_numerics()
            return {
                "trainer": self.trainer.state_dict(), "modes": modes, "random": random, "numerics": numerics
            }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Puts a state in place of the present one.

        Raises:
            TrainerFailed: ``load_state_dict`` raised; NotRestorable where a new trainer is needed.
        """
        with user_code():
            self.trainer.load_state_dict(state["trainer"])
            restore_modes(self._context.modules(self.trainer), state["modes"])
        restore_numerics(state["numerics"])
        restore_random_state(state["random"])

    def close(self) -> None:
        """Ends the worker processes that the trainer has started by its context."""
        self._context.close()
