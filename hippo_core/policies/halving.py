"""What all halving policies have in common: trials climb ladders of rungs, in brackets, and are compared at each.

A trial begins at the first rung of its bracket; what its coming to a rung leads to is each policy's own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from hippo_core.errors import InvalidStudy
from hippo_core.policies.ladder import Brackets, check_ladder, rungs
from hippo_core.policies.policy import Extend, Policy, PolicySpec, Values, Worth, shown, worth
from hippo_core.policies.rung import Rung

Compared = Literal["trials", "models"]
RungKey = tuple[int, int]
"""Bracket and step."""

PEERS: Mapping[str, str] = {
    "grace_period": "min_steps",
    "min_resource": "min_steps",
    "min_t": "min_steps",
    "min_iter": "min_steps",
    "min_budget": "min_steps",
    "eta": "reduction_factor",
    "factor": "reduction_factor",
    "divisor": "reduction_factor",
    "r": "min_steps",
    "min_early_stopping_rate": "min_steps, as min_steps * reduction_factor**rate",
    "num_rungs": "min_steps: the rungs follow from it, reduction_factor and the study's max_steps",
    "stop_once": "policies.asha(stopping=True)",
    "bootstrap_count": "no argument for it: nobody is promoted before reduction_factor trials are in a rung",
    "R": "max_steps, which is the study's",
    "max_t": "max_steps, which is the study's",
    "max_resource": "max_steps, which is the study's",
    "max_iter": "max_steps, which is the study's",
    "max_budget": "max_steps, which is the study's",
    "max_steps": "max_steps, which is the study's",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How trials are compared, whatever follows.

    Attributes:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
        brackets: How many brackets trials are dealt to; None: one for each rung.
        compare: What is compared at a rung.
        maximize: For each objective, whether the larger value is the better one.
        evaluate_every: Rungs are rounded up to its multiples.
    """

    min_steps: int
    reduction_factor: int
    brackets: int | None
    compare: Compared
    maximize: tuple[bool, ...]
    evaluate_every: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of a trial at a step."""

    values: Worth | None  #: what it is worth; None: not finite
    model: int


@dataclass(slots=True)
class Climber:
    """What a policy knows of a trial."""

    bracket: int
    ladder: tuple[int, ...]  #: its rungs, as steps
    asked: int = 0  #: the furthest step requested
    seen: dict[int, Seen] = field(default_factory=dict)  #: by step
    ended: bool = False

    @property
    def end(self) -> int:
        """Its last step."""
        return self.ladder[-1]

    @property
    def deepest(self) -> int:
        """The furthest step at which it was observed."""
        return max(self.seen, default=0)

    def next_above(self, step: int) -> int | None:
        """Its first rung above a step."""
        return next((rung for rung in self.ladder if rung > step), None)

    def rung_above(self, step: int) -> int:
        """Its first rung above a step that is not its end."""
        return next(rung for rung in self.ladder if rung > step)


class Halving(Policy):
    """The bookkeeping of a halving policy.

    Args:
        rules: How trials are compared.
    """

    ends_compete: ClassVar[bool] = False  #: whether a trial's last step is a rung for others

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.climbers: dict[int, Climber] = {}
        self.rungs: dict[RungKey, Rung] = {}
        self.starting: dict[int, None] = {}  # trials whose next rung is wanted whatever the others do
        self._metrics: tuple[str, ...] = ()
        self._brackets = Brackets(rules.reduction_factor, rules.brackets)

    def compares(self, metrics: tuple[str, ...]) -> None:
        """Names them in its reasons."""
        self._metrics = metrics

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the first rung of a new trial; a raised limit may let one that waits at its end go on."""
        rules = self.rules
        ladder = rungs(rules.min_steps, rules.reduction_factor, max_steps, rules.evaluate_every)
        if trial not in self.climbers:
            self.climbers[trial] = Climber(self._brackets.next(len(ladder)), ladder)
        known = self.climbers[trial]
        known.ladder = ladder[min(known.bracket, len(ladder) - 1) :]
        deepest = known.deepest
        if not known.asked or known.ended:
            # New, or to be tried again: then what it had been promoted to still stands.
            known.asked = deepest
            if known.next_above(deepest) is not None:
                self.starting[trial] = None
        known.ended = False
        for step in known.seen:
            self._compete(trial, step)

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        known = self.climbers[trial]
        known.asked, known.ended = step, False
        self.starting.pop(trial, None)
        self.settled(trial)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """The trial competes in its rung."""
        known = self.climbers[trial]
        if step in known.seen:
            return
        ours = None if values is None else worth(values, self.rules.maximize)
        known.seen[step] = Seen(ours, model)
        self._compete(trial, step)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more; it keeps its place in the rungs."""
        self.climbers[trial].ended = True
        self.starting.pop(trial, None)
        self.settled(trial)

    @abstractmethod
    def entered(self, trial: int, key: RungKey) -> None:
        """A trial stands in a rung that is not its end, for the first time or after its limit was raised."""

    @abstractmethod
    def settled(self, trial: int) -> None:
        """Nothing more is wanted of a trial for what it has shown so far."""

    def starts(self) -> list[Extend]:
        """What is wanted of trials whatever the others do, in the order in which it came to be."""
        found = []
        for trial in self.starting:
            known = self.climbers[trial]
            found.append(Extend(trial, known.rung_above(known.deepest), self._start(known)))
        return found

    def quota(self, key: RungKey) -> int:
        """How many of a rung go on."""
        return len(self.rungs[key]) // self.rules.reduction_factor

    def among_best(self, trial: int, key: RungKey) -> bool:
        """Whether a trial is among those of a rung that go on."""
        return self.rungs[key].place(trial) < self.quota(key)

    def told(self, trial: int, key: RungKey) -> str:
        """Where a trial stands in a rung, and how many go on, in words and numbers."""
        quota = self.quota(key)
        cut_off = self.rungs[key].cut_off(quota)
        text = f"{self.ranked(trial, key)}; {quota} go on"
        return text if cut_off is None else f"{text}, down to {self._shown(cut_off)}"

    def ranked(self, trial: int, key: RungKey) -> str:
        """Where a trial stands in a rung, in words and numbers."""
        rung = self.rungs[key]
        seen = self.climbers[trial].seen[key[1]]
        bracket = f" of bracket {key[0]}" if self.rules.brackets != 1 else ""
        compared = " models" if self.rules.compare == "models" else ""
        text = f"rank {rung.place(trial) + 1} of {len(rung)}{compared} at step {key[1]}{bracket}"
        return text if seen.values is None else f"{text}, {self._shown(seen.values)}"

    def _shown(self, values: Worth) -> str:
        return shown(values, self.rules.maximize, self._metrics)

    def _start(self, known: Climber) -> str:
        if known.seen:
            return "tried again"
        return f"enters at step {known.ladder[0]}" + (
            f", bracket {known.bracket}" if self.rules.brackets != 1 else ""
        )

    def _compete(self, trial: int, step: int) -> None:
        known = self.climbers[trial]
        at_end = step >= known.end
        if at_end and not self.ends_compete:
            return
        key = (known.bracket, step)
        rung = self.rungs.setdefault(key, Rung(len(self.rules.maximize)))
        if trial not in rung:
            seen = known.seen[step]
            model = seen.model if self.rules.compare == "models" else trial
            rung.enter(trial, model, seen.values)
        if not at_end:
            self.entered(trial, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvingSpec(PolicySpec):
    """A halving policy as a study names it.

    Attributes:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
        compare: What is compared at a rung: trials, or models, which are the trials that are one there.
    """

    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True

    min_steps: int
    reduction_factor: int
    compare: Compared = "trials"

    @property
    def most_brackets(self) -> int | None:
        """How many brackets trials are dealt to; None: one for each rung."""
        return 1

    @property
    def waits(self) -> bool:
        """Whether nobody is promoted before all the study's trials have come."""
        return False

    def rules(self, maximize: tuple[bool, ...], evaluate_every: int) -> Rules:
        """How trials are compared."""
        return Rules(
            min_steps=self.min_steps,
            reduction_factor=self.reduction_factor,
            brackets=self.most_brackets,
            compare=self.compare,
            maximize=maximize,
            evaluate_every=evaluate_every,
        )

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """There must be a rung below the last one, and one for each bracket."""
        return check_ladder(
            self.name, self.min_steps, self.reduction_factor, self.most_brackets, max_steps, evaluate_every
        )

    def to_json(self) -> dict[str, Any]:
        """``{"policy": name, ...}``."""
        return {
            "policy": self.name,
            "min_steps": self.min_steps,
            "reduction_factor": self.reduction_factor,
            "compare": self.compare,
        }


def compared(value: Any, where: str) -> Compared:
    """What is to be compared at a rung.

    Raises:
        InvalidStudy: It is neither trials nor models.
    """
    if value == "trials":
        return "trials"
    if value == "models":
        return "models"
    raise InvalidStudy(where, f"must be 'trials' or 'models', not {value!r}")
