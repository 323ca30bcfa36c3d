"""What a trainer is given, behind the protocol of ``hippo_core.training``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sized
from operator import is_
from pathlib import Path
from typing import Any, cast

import torch

from hippo_core.program import Program
from hippo_core.training import Trainer
from hippo_core.values import Scalar
from hippo_worker.hosting.batches import Batches, Indexed
from hippo_worker.hosting.collection import Baseline, collect, restore, take_baseline
from hippo_worker.hosting.hyperparameters import Hyperparameters, NotState
from hippo_worker.hosting.randomness import derive
from hippo_worker.hosting.survey import SCALARS, Surveyor, attributes


class HostContext(NotState):
    """The context of one trainer object.

    Args:
        program: What is trained.
        values: The values at the trial's step 0.
        device: "cpu" or "cuda".
        data_dir: The worker's data folder.
        is_users: Whether a class comes from the bundle.

    Attributes:
        values_at_setup: `hp`, with the record of what was read.
    """

    def __init__(
        self,
        *,
        program: Program,
        values: Mapping[str, Scalar],
        device: str,
        data_dir: Path,
        is_users: Callable[[type], bool],
    ) -> None:
        self.values_at_setup = Hyperparameters(values)
        self.hp: Mapping[str, Scalar] = self.values_at_setup
        self.options: Mapping[str, Any] = copy.deepcopy(dict(program.options))
        self.seed = program.seed
        self.device = device
        self.rank = 0
        self.world_size = 1
        self.data_dir = data_dir
        self._surveyor = Surveyor(is_users)
        self._baseline: Baseline | None = None
        self._batches: list[Batches] = []

    def batches(
        self, dataset: Sized, batch_size: int | Callable[[], int], shuffle: bool = True, workers: int = 0
    ) -> Batches:
        """An endless iterator over the batches of a data set; see `hippo_worker.hosting.batches`."""
        made = Batches(
            cast(Indexed, dataset),
            batch_size,
            shuffle,
            workers,
            # In the order in which a trainer makes them, so that two over one data set differ.
            seed=derive(self.seed, "batches", len(self._batches)),
        )
        self._batches.append(made)
        return made

    def collect_state(self, trainer: Trainer) -> dict[str, Any]:
        """The default state of a trainer."""
        return collect(self._surveyor, trainer, self._baseline)

    def restore_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Puts a state of `collect_state` back, in place."""
        restore(self._surveyor, trainer, state, self._baseline)

    def remember_setup(self, trainer: Trainer) -> None:
        """To be called once ``setup`` has returned: what it left is the baseline of all states."""
        self._baseline = take_baseline(self._surveyor, trainer)

    def modules(self, trainer: Trainer) -> dict[str, torch.nn.Module]:
        """The modules that a trainer holds, by path: those that ``setup`` made, and what replaced them."""
        found = dict(self._baseline.modules) if self._baseline is not None else {}
        for name, value in attributes(trainer).items():
            if isinstance(value, torch.nn.Module):
                found[name] = value
        return found

    def apply(self, trainer: Trainer, hp: Hyperparameters) -> None:
        """Calls ``apply``, and takes note of what it puts on the trainer."""
        before = attributes(trainer)
        trainer.apply(hp)
        after = attributes(trainer)
        # This is done at every step where values change at every step, and most often nothing else does.
        if list(before) == list(after) and all(map(is_, before.values(), after.values())):
            return
        replaced = [
            name
            for name, value in after.items()
            if value is not (was := before.get(name, self))
            # A number in place of a number is saved whatever it is: nothing need be remembered of it.
            and not (type(value) in SCALARS and type(was) in SCALARS)
        ]
        if replaced and self._baseline is not None:
            self._baseline.allow(self._surveyor.survey(trainer, frozenset(replaced)))

    def close(self) -> None:
        """Ends the worker processes of all batches."""
        for batches in self._batches:
            batches.close()
