"""DEHB: Hyperband whose points evolve; each trial is evaluated at one step, which comes with its point.

The algorithm is the sampler's (``hippo_core.proposing.dehb``), which notes with each trial the step of its evaluation.
The policy asks for it, and for no more: a promotion is another trial with an equal point, and goes on from where the
first one stands. A trial without such a note, whose point is a person's, is evaluated at the first rung. Where no trial
has come to max_steps in the end, the best of those at the furthest step goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.dehb_brackets import DehbBrackets
from hippo_core.policies.halving import PEERS
from hippo_core.policies.ladder import check_ladder
from hippo_core.policies.policy import Extend, Policy, PolicySpec, Values, Verdict, round_up, signed


@dataclass(slots=True)
class Evaluated:
    """What a policy knows of a trial."""

    max_steps: int = 0
    step: int = 0  #: at which it is evaluated
    place: str = ""  #: in the brackets, in words
    asked: int = 0
    ended: bool = False
    seen: dict[int, Values | None] = field(default_factory=dict)  #: by step, of which less is better


class Dehb(Policy):
    """Has each trial evaluated at the step that its sampler noted with it.

    Args:
        min_steps: The step for trials that have no note.
        maximize: Whether the larger value is the better one.
        evaluate_every: Steps are its multiples.
    """

    resting = "evaluated, as far as it was to be"

    def __init__(self, min_steps: int, maximize: tuple[bool, ...], evaluate_every: int) -> None:
        self._first = round_up(min_steps, evaluate_every)
        self._maximize = maximize
        self.trials: dict[int, Evaluated] = {}
        self._wanted: dict[int, None] = {}

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns where in the brackets a trial is."""
        found = self.trials.setdefault(trial, Evaluated())
        found.step = notes["step"]
        found.place = f"rung {notes['rung']} of bracket {notes['bracket']}"
        if notes.get("promoted"):
            found.place += ", promoted from the rung below"

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's evaluation, anew where it had ended."""
        found = self.trials.setdefault(trial, Evaluated())
        found.max_steps = max_steps
        found.step = min(found.step or self._first, max_steps)
        if found.ended:
            found.asked, found.ended = max(found.seen, default=0), False
        if found.asked < found.step:
            self._wanted[trial] = None

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        found = self.trials[trial]
        found.asked, found.ended = step, False
        self._wanted.pop(trial, None)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """Keeps it, for the end."""
        self.trials[trial].seen[step] = None if values is None else signed(values, self._maximize)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True
        self._wanted.pop(trial, None)

    def decide(self) -> list[Verdict]:
        """The evaluations, in the order of the trials' coming."""
        return [Extend(trial, self.trials[trial].step, self._reason(trial)) for trial in self._wanted]

    def finish(self) -> list[Verdict]:
        """Where no trial has come to its end, the best at the furthest step goes on."""
        waiting: list[tuple[int, Values, int]] = []
        for trial, found in self.trials.items():
            deepest = max(found.seen, default=0)
            values = found.seen.get(deepest)
            if values is None:
                continue
            if deepest >= found.max_steps:
                return []
            if not found.ended:
                waiting.append((-deepest, values, trial))
        if not waiting:
            return []
        deepest, _, trial = min(waiting)
        reason = f"the best at step {-deepest}, the furthest that any trial has come to"
        return [Extend(trial, self.trials[trial].max_steps, reason)]

    def standing(self, trial: int) -> str:
        """Where it was evaluated."""
        return self._reason(trial)

    def _reason(self, trial: int) -> str:
        found = self.trials[trial]
        return f"evaluated at step {found.step}" + (f", {found.place}" if found.place else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DehbSpec(PolicySpec):
    """DEHB.

    Attributes:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
        mutation: How much of the difference of two points is added to a third.
        crossover: How likely a value is the mutant's.
    """

    raisable: ClassVar[bool] = False

    min_steps: int
    reduction_factor: int
    mutation: float
    crossover: float

    @property
    def name(self) -> str:
        """``dehb``."""
        return "dehb"

    def brackets(self, max_steps: int, evaluate_every: int) -> DehbBrackets:
        """Its brackets."""
        return DehbBrackets(
            self.min_steps, self.reduction_factor, round_up(max_steps, evaluate_every), evaluate_every
        )

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return Dehb(self.min_steps, maximize, evaluate_every)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """All trials must have one limit, and a rung below it."""
        if max_steps is None:
            raise InvalidStudy(
                "max_steps",
                "dehb compares all trials at the same steps, and needs a number",
                "Give max_steps=..., or use policies.asha().",
            )
        return check_ladder(self.name, self.min_steps, self.reduction_factor, None, max_steps, evaluate_every)

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "dehb", ...}``."""
        return {
            "policy": self.name,
            "min_steps": self.min_steps,
            "reduction_factor": self.reduction_factor,
            "mutation": self.mutation,
            "crossover": self.crossover,
        }


@worded(
    "policies.dehb",
    {
        **PEERS,
        "min_fidelity": "min_steps",
        "max_fidelity": "max_steps, which is the study's",
        "mutation_factor": "mutation",
        "crossover_prob": "crossover",
        "strategy": "no argument for it: it is rand/1/bin",
        "seed": "seed, which is the study's",
        "compare": "no argument for it: points are compared",
    },
)
def dehb(
    min_steps: int = 1, reduction_factor: int = 3, mutation: float = 0.5, crossover: float = 0.5
) -> DehbSpec:
    """Differential evolution within Hyperband: policy and sampler in one, so that no sampler is given beside it.

    Each trial is one evaluation of a point at one step; most end far below max_steps, as *stopped*. Those that come to
    max_steps are *completed*, and the best of them is the study's best.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: A rung has 1/reduction_factor of the evaluations of the one below.
        mutation: How much of the difference of two points is added to a third (F).
        crossover: How likely each value of a new point is the mutant's, rather than the target's (p).
    """
    scale = arguments.number(mutation, "policies.dehb.mutation")
    if not 0.0 < scale <= 2.0:
        raise InvalidStudy("policies.dehb.mutation", f"must be above 0 and at most 2, not {scale}")
    share = arguments.number(crossover, "policies.dehb.crossover")
    if not 0.0 <= share <= 1.0:
        raise InvalidStudy("policies.dehb.crossover", f"must be from 0 to 1, not {share}")
    return DehbSpec(
        min_steps=arguments.integer(min_steps, "policies.dehb.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.dehb.reduction_factor", 2),
        mutation=scale,
        crossover=share,
    )
