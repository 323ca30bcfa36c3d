"""Patience: a trial that has ceased to improve is done.

After Y. Bengio, "Practical Recommendations for Gradient-Based Training of Deep Architectures" (arXiv 1206.5533, 2012),
section 3.1.1, early stopping with a patience that is constant: a trial is done when its best value has not improved
over its last ``evaluations`` evaluations. To violate the study's constraints less is an improvement, by however much.

A trial is asked for no more than its patience lasts, and for more as it improves. So it ends at the very step at which
it would end alone, whatever was known before and in whatever order things came, and the state there is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.percentile_stopping import check_on_the_way
from hippo_core.policies.policy import (
    Extend,
    Policy,
    PolicySpec,
    Stop,
    Values,
    Verdict,
    Worth,
    improves,
    round_up,
    shown,
    worth,
)

PEERS: Mapping[str, str] = {
    "patience": "evaluations",
    "min_delta": "min_change",
    "num_results": "evaluations",
    "grace_period": "min_steps",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""


@dataclass(slots=True)
class Progress:
    """What the policy knows of a trial."""

    max_steps: int
    asked: int = 0  #: the furthest step requested
    there: int = 0  #: the furthest step observed
    evaluated: int = 0  #: the step of its latest evaluation
    best: Worth = ()  #: its best value, once it was evaluated
    improved: int = 0  #: the step at which it improved last
    ended: bool = False  #: it failed or diverged
    resting: bool = False  #: the engine knows that it rests


class Patience(Policy):
    """Ends a trial that has ceased to improve.

    Args:
        evaluations: How many evaluations without improvement it is given.
        min_change: By how much more than that a value must be better to be an improvement.
        min_steps: The first step at which a trial may be done.
        maximize: Whether the larger value of the objective is the better one.
        evaluate_every: The steps between evaluations.
    """

    watches = True
    hurries = False

    def __init__(
        self, evaluations: int, min_change: float, min_steps: int, maximize: bool, evaluate_every: int
    ) -> None:
        self._evaluations = evaluations
        self._min_change = min_change
        self._first_end = round_up(min_steps, evaluate_every)
        self._maximize = (maximize,)
        self._every = evaluate_every
        self.trials: dict[int, Progress] = {}
        self._doubtful: dict[int, None] = {}  # trials that a verdict may be due on

    def added(self, trial: int, max_steps: int) -> None:
        """Wants it trained as far as its patience lasts, anew where it had ended."""
        known = self.trials.setdefault(trial, Progress(max_steps))
        if known.there >= known.max_steps:
            known.resting = False
        known.max_steps = max_steps
        if known.ended:
            known.ended, known.asked = False, known.there
        self._doubtful[trial] = None

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that was at rest is taken up again."""
        known = self.trials[trial]
        known.asked, known.ended, known.resting = step, False, False
        self._doubtful[trial] = None

    def reported(self, trial: int, step: int, values: Values | None) -> None:
        """An improvement gives it more patience."""
        known = self.trials[trial]
        if values is None or step <= known.evaluated:
            return
        value = worth(values, self._maximize)
        if not known.evaluated or improves(value, known.best, self._min_change):
            known.best, known.improved = value, step
        known.evaluated = step
        self._doubtful[trial] = None

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """It has come to where it was asked to."""
        self.trials[trial].there = step
        self._doubtful[trial] = None

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True

    def stopped(self, trial: int) -> None:
        """Need not be told so again."""
        self.trials[trial].resting = True

    def decide(self) -> list[Verdict]:
        """Who may go on, and who is done, by number."""
        found: list[Verdict] = []
        for trial in sorted(self._doubtful):
            known = self.trials[trial]
            verdict = None if known.ended else self._verdict(trial, known)
            if verdict is None:
                del self._doubtful[trial]
            else:
                found.append(verdict)
        return found

    def _verdict(self, trial: int, known: Progress) -> Verdict | None:
        improved = known.improved or self._every  # its first evaluation is an improvement
        lasts = max(improved + self._evaluations * self._every, self._first_end)
        if min(lasts, known.max_steps) > known.asked:
            why = f"improved at step {known.improved}" if known.improved else "at first"
            return Extend(trial, min(lasts, known.max_steps), f"{why}: its patience lasts to step {lasts}")
        if lasts < known.max_steps and known.there >= lasts and not known.resting:
            without = (known.there - known.improved) // self._every
            best = shown(known.best, self._maximize)
            text = f"no improvement on {best}, at step {known.improved}, in {without} evaluations"
            return Stop(trial, text, completes=True)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSpec(PolicySpec):
    """Patience.

    Attributes:
        evaluations: How many evaluations without improvement a trial is given.
        min_change: By how much more than that a value must be better to be an improvement.
        min_steps: The first step at which a trial may be done.
    """

    counts_trials: ClassVar[bool] = False

    constrained: ClassVar[bool] = True

    evaluations: int
    min_change: float
    min_steps: int

    @property
    def name(self) -> str:
        """``patience``."""
        return "patience"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Patience(self.evaluations, self.min_change, self.min_steps, maximize[0], evaluate_every)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """Patience must be able to run out before a trial's end."""
        least = max(self.min_steps, (self.evaluations + 1) * evaluate_every)
        return check_on_the_way(least, max_steps, evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "patience", ...}``."""
        return {
            "policy": self.name,
            "evaluations": self.evaluations,
            "min_change": self.min_change,
            "min_steps": self.min_steps,
        }


@worded("policies.patience", PEERS)
def patience(evaluations: int, min_change: float = 0.0, min_steps: int = 1) -> PatienceSpec:
    """A trial is done, and completed, when it has not improved for so many evaluations.

    Args:
        evaluations: How many evaluations without improvement it is given.
        min_change: A value is an improvement if it is better by more than this.
        min_steps: The first step at which a trial may be done.
    """
    change = arguments.number(min_change, "policies.patience.min_change")
    if change < 0:
        raise InvalidStudy("policies.patience.min_change", f"must be at least 0, not {min_change!r}")
    return PatienceSpec(
        evaluations=arguments.integer(evaluations, "policies.patience.evaluations", 1),
        min_change=change,
        min_steps=arguments.integer(min_steps, "policies.patience.min_steps", 1),
    )
