"""What the policies that look at every evaluation have in common: a trial trains to its end unless its curve is bad.

Each trial's last step is requested at once. Every evaluation on the way is judged once, in the order of the steps, by
what is known when it is told: a trial whose beginning is known already is judged at each step of it, and stopped at the
first that is bad, as if it were trained.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from hippo_core.policies.policy import Extend, Policy, Stop, Values, Verdict, Worth, shown, worth


@dataclass(slots=True)
class Curve:
    """What a policy knows of a trial."""

    max_steps: int
    asked: int = 0  #: the furthest step requested
    there: int = 0  #: the furthest step observed
    steps: list[int] = field(default_factory=list)  #: of its evaluations
    values: list[Worth] = field(default_factory=list)  #: by the first objective
    best: Worth = (math.inf, math.inf)
    average: Worth = ()  #: where others are compared with it
    ended: bool = False  #: it failed or diverged
    cut: bool = False  #: it was stopped on its way


class Curves(Policy):
    """Trains every trial to its end, but for those that are judged badly on the way.

    Args:
        maximize: Whether the larger value of the objective is the better one.
    """

    watches = True

    def __init__(self, maximize: bool) -> None:
        self.curves: dict[int, Curve] = {}
        self._maximize = (maximize,)
        self._wanted: dict[int, None] = {}  # trials that are to be trained further

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's last step, anew where it had ended; one that was stopped on its way stays so."""
        known = self.curves.setdefault(trial, Curve(max_steps))
        known.max_steps = max_steps
        if known.ended:
            known.ended, known.asked = False, known.there
        self._want(trial)

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that was at rest is taken up again."""
        known = self.curves[trial]
        known.asked, known.ended, known.cut = step, False, False
        self._want(trial)

    def reported(self, trial: int, step: int, values: Values | None) -> None:
        """Counts it."""
        known = self.curves[trial]
        if values is None or (known.steps and step <= known.steps[-1]):
            return
        known.steps.append(step)
        known.values.append(worth(values, self._maximize))
        known.best = min(known.best, known.values[-1])

    def judge(self, trial: int) -> Stop | None:
        """Looks at its latest evaluation."""
        known = self.curves[trial]
        reason = self.verdict(known) if known.steps else None
        return None if reason is None else Stop(trial, reason)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """It has come to where it was asked to."""
        self.curves[trial].there = step

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.curves[trial].ended = True
        self._want(trial)

    def stopped(self, trial: int) -> None:
        """Where it was on its way, it stays where it is."""
        known = self.curves[trial]
        if known.there < known.asked:
            known.cut = True
            self._want(trial)

    def decide(self) -> list[Verdict]:
        """Whom to train further, by number."""
        return [Extend(trial, self.curves[trial].max_steps, "to its end") for trial in sorted(self._wanted)]

    @abstractmethod
    def verdict(self, curve: Curve) -> str | None:
        """Why a trial is to be stopped at its latest evaluation, in words and numbers; None: it goes on."""

    def shown(self, value: Worth) -> str:
        """A value of ``Curve.values`` as a person reads it."""
        return shown(value, self._maximize)

    def _want(self, trial: int) -> None:
        known = self.curves[trial]
        if known.asked < known.max_steps and not (known.ended or known.cut):
            self._wanted[trial] = None
        else:
            self._wanted.pop(trial, None)


def quantile(ordered: Sequence[Worth], share: float, without: int | None = None) -> Worth:
    """The worth below which a share of ascending ones lies, interpolated between the two nearest.

    Args:
        ordered: What is compared, ascending.
        share: From 0 to 1.
        without: The place of one that does not count.
    """

    def worth(place: int) -> Worth:
        return ordered[place if without is None or place < without else place + 1]

    count = len(ordered) - (without is not None)
    place = share * (count - 1)
    low = int(place)
    high = min(low + 1, count - 1)
    return tuple(
        _between(one, other, place - low) for one, other in zip(worth(low), worth(high), strict=True)
    )


def _between(low: float, high: float, share: float) -> float:
    """What lies a share of the way between two numbers, which may be infinite."""
    return low if low == high or not share else low + (high - low) * share
