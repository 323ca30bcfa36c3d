"""What is searched: a network, a space with phases, and how long a trial is.

``S1``: rate and momentum free in each of 3 phases of 9 epochs. ``S2``: 448 mixtures of schedules. ``S3``: warm-up,
stable and decay, one horizon, whose cooldown begins at epoch 18. ``S4``: a trunk of 15 epochs, then 3 phases of 4
epochs, rate and momentum free in each. ``mnist``: as S1, a convolutional network. ``characters``: warm-up, stable and
decay, with dropout and weight decay that may change where it decays, a transformer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.search.memo import FOLDER, Memo, Memoised, Network
from benchmarks.search.network import EPOCHS, Digits
from hippo_core import schedules, space

FULL_TRIALS = 64  #: the budget, in trials of full length

RATES = (5e-3, 1.0)
MOMENTA = (0.0, 0.95)
DECAYS = (1e-5, 3e-2)


@dataclass(frozen=True, eq=False)
class Problem:
    """A search to be done.

    Attributes:
        name: How it is called.
        make: The network.
        entries: The space.
        max_steps: The length of a trial.
        min_steps: The first rung.
        full_trials: The budget, in trials of full length.
        plain: The space where each hyper-parameter is one plain value, for population based training; None: it would
            be another search.
        interval: Of population based training.
    """

    name: str
    make: Callable[[], Network]
    entries: Mapping[str, Any]
    max_steps: int = EPOCHS
    min_steps: int = 3
    full_trials: int = FULL_TRIALS
    plain: Mapping[str, Any] | None = None
    interval: int = 0

    @cached_property
    def network(self) -> Network:
        return self.make()

    @property
    def budget(self) -> int:
        """In trained steps."""
        return self.full_trials * self.max_steps

    @cached_property
    def memo(self) -> Memo:
        return Memo(FOLDER / f"{self.name}-{self.network.identity()}.sqlite")

    @cached_property
    def response(self) -> Memoised:
        return Memoised(self.network, self.memo)


def _free(milestones: list[int]) -> dict[str, Any]:
    """Rate and momentum, each free in each phase."""
    phases = len(milestones) + 1
    return {
        "lr": schedules.piecewise([space.loguniform(*RATES) for _ in range(phases)], milestones),
        "momentum": schedules.piecewise([space.uniform(*MOMENTA) for _ in range(phases)], milestones),
    }


def _mixtures() -> dict[str, Any]:
    """28 schedules of the rate, 4 of the momentum and 4 of the weight decay."""
    falls: list[tuple[list[int], list[float]]] = [
        ([], []),
        ([9], [0.3]),
        ([9], [0.1]),
        ([18], [0.3]),
        ([18], [0.1]),
        ([9, 18], [0.3, 0.1]),
        ([9, 18], [0.3, 0.03]),
    ]
    rates = [
        schedules.piecewise([peak, *[peak * factor for factor in factors]], milestones)
        if milestones
        else peak
        for peak in (0.05, 0.15, 0.4, 1.0)
        for milestones, factors in falls
    ]
    return {
        "lr": space.choice(rates),
        "momentum": space.choice(
            [0.5, 0.8, schedules.piecewise([0.5, 0.9], [9]), schedules.piecewise([0.8, 0.3], [18])]
        ),
        "weight_decay": space.choice(
            [1e-4, 3e-3, schedules.piecewise([1e-4, 1e-2], [9]), schedules.piecewise([1e-4, 1e-2], [18])]
        ),
    }


def _cooldown() -> dict[str, Any]:
    return {
        "lr": schedules.wsd(space.loguniform(*RATES), 3, 15, 9, space.loguniform(1e-4, 0.2)),
        "momentum": schedules.piecewise([space.uniform(*MOMENTA), space.uniform(*MOMENTA)], [18]),
        "weight_decay": schedules.piecewise([space.loguniform(*DECAYS), space.loguniform(*DECAYS)], [18]),
    }


def _images() -> Network:
    from benchmarks.search.larger import Images  # torch, which takes seconds to import

    return Images()


def _characters() -> Network:
    from benchmarks.search.larger import Characters

    return Characters()


def _language() -> dict[str, Any]:
    return {
        "lr": schedules.wsd(space.loguniform(1e-3, 0.1), 3, 15, 9, space.loguniform(1e-5, 1e-2)),
        "dropout": schedules.piecewise([space.uniform(0, 0.4), space.uniform(0, 0.4)], [18]),
        "weight_decay": schedules.piecewise([space.loguniform(1e-3, 1), space.loguniform(1e-3, 1)], [18]),
    }


PLAIN = {"lr": space.loguniform(*RATES), "momentum": space.uniform(*MOMENTA)}

PROBLEMS: Mapping[str, Problem] = {
    each.name: each
    for each in (
        Problem("S1", Digits, _free([9, 18]), plain=PLAIN, interval=9),
        Problem("S2", Digits, _mixtures()),
        Problem("S3", Digits, _cooldown()),
        Problem("S4", Digits, _free([15, 19, 23]), plain=PLAIN, interval=4),
        Problem("mnist", _images, _free([9, 18]), full_trials=20),
        Problem("characters", _characters, _language(), full_trials=20),
    )
}
