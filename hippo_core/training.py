"""What a user's trainer is, and what it is given. Knows nothing of torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, Protocol

from hippo_core.program import Resources as Resources
from hippo_core.values import Scalar

Hyperparameters = Mapping[str, Scalar]


class Context(Protocol):
    """What a trainer is given at ``setup``. It tells nothing of the future, so that training cannot depend on
    it.

    Attributes:
        hp: The values of the trial's step 0, by name; also by attribute where the name allows it.
        options: The study's options.
        seed: The study's seed, with which Python, NumPy and torch were seeded.
        device: ``"cpu"`` or ``"cuda"``: where to put the model.
        rank: The process's number within the trial: 0.
        world_size: How many processes train the trial: 1.
        data_dir: A folder on the worker for data sets; stays between trials.
    """

    hp: Hyperparameters
    options: Mapping[str, Any]
    seed: int
    device: str
    rank: int
    world_size: int
    data_dir: Path

    def batches(
        self, dataset: Sized, batch_size: int, shuffle: bool = True, workers: int = 0
    ) -> Iterator[Any]:
        """An endless iterator over the batches of a data set, for ``unit="iteration"``.

        Order and per-item seeds are functions of the seed and the position. The position is part of the
        state, and ``batch_size`` of the iterator may be set before any step.

        Args:
            dataset: A map-style data set: ``len(dataset)`` and ``dataset[index]``.
            batch_size: How many items a batch has.
            shuffle: Whether each pass is in an order of its own.
            workers: How many processes load items ahead; 0: none.
        """
        ...

    def collect_state(self, trainer: Trainer) -> dict[str, Any]:
        """The default state of a trainer: what is found on it that training changes."""
        ...

    def restore_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Puts a state of :meth:`collect_state` back."""
        ...


class Trainer(ABC):
    """Trains one trial. Subclass it, and name the subclass in the study.

    Order of calls, all from one thread: ``setup``, once; ``load_state_dict`` where training goes on from a
    saved state; ``apply``; then ``train`` for one step after the other, ``apply`` again before each step at
    which a value changes, ``evaluate`` and ``state_dict`` between steps. Random generators are seeded before
    ``setup``; their states are saved and restored with the trainer's.

    Attributes:
        context: What ``setup`` was given.
    """

    context: Context

    @abstractmethod
    def setup(self, context: Context) -> None:
        """Builds data, model and optimiser.

        Args:
            context: ``context.hp`` has the trial's values at step 0, whatever state is loaded later.
        """

    @abstractmethod
    def apply(self, hp: Hyperparameters) -> None:
        """Puts values in force, for example in the optimiser. Calling it twice must be as calling it once.

        Args:
            hp: All values at the next step.
        """

    @abstractmethod
    def train(self, step: int) -> Mapping[str, float] | None:
        """Trains one step.

        Args:
            step: The step's number, from 0.

        Returns:
            Training metrics, or None. They are recorded apart from those of ``evaluate``.
        """

    @abstractmethod
    def evaluate(self) -> Mapping[str, float]:
        """Measures the present state, under the values of the last trained step.

        Returns:
            Metrics by name, the study's objectives among them.
        """

    def state_dict(self) -> Any:
        """All that training changes, as plain data, tensors and arrays.

        By default every module, optimiser, scheduler, scaler, sampler, generator and plain value found on
        ``self``, and the tensors and arrays whose bytes changed since ``setup``.
        """
        return self.context.collect_state(self)

    def load_state_dict(self, state: Any) -> None:
        """The inverse of :meth:`state_dict`, called after ``setup``."""
        self.context.restore_state(self, state)
