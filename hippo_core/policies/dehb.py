"""DEHB: Hyperband whose points evolve; each trial is evaluated at one step, which comes with its point.

The algorithm is the sampler's (``hippo_core.proposing.dehb``), which notes with each trial the step of its evaluation.
The policy asks for it, and for no more: a promotion is another trial with an equal point, and goes on from where the
first one stands. A trial without such a note, whose point is a person's, is evaluated at the first rung. Where no trial
has come to max_steps in the end, the best of those at the furthest step goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.dehb_brackets import DehbBrackets, Job
from hippo_core.policies.halving import PEERS
from hippo_core.policies.ladder import check_ladder
from hippo_core.policies.policy import (
    Extend,
    Policy,
    PolicySpec,
    Values,
    Verdict,
    Worth,
    round_up,
    shown,
    worth,
)


@dataclass(slots=True)
class Evaluated:
    """What a policy knows of a trial."""

    max_steps: int = 0
    step: int = 0  #: at which it is evaluated
    job: Job | None = None  #: in the brackets; None: it was forked from another
    turn: int = 0  #: how many were drawn for that step before
    notes: Mapping[str, Any] = field(default_factory=dict)  #: of its sampler
    asked: int = 0
    ended: bool = False
    seen: dict[int, Worth | None] = field(default_factory=dict)  #: by step; None: not finite


class Dehb(Policy):
    """Has each trial evaluated at the step that its sampler noted with it.

    Args:
        spec: Its arguments; ``min_steps`` is the step for trials that have no note.
        maximize: Whether the larger value is the better one.
        evaluate_every: Steps are its multiples.
    """

    resting = "evaluated, as far as it was to be"

    def __init__(self, spec: DehbSpec, maximize: tuple[bool, ...], evaluate_every: int) -> None:
        self._spec = spec
        self._every = evaluate_every
        self._first = round_up(spec.min_steps, evaluate_every)
        self._maximize = maximize
        self.trials: dict[int, Evaluated] = {}
        self._drawn: list[int] = []  # trials but for forks: notes name them by their place
        self._in_rung: dict[Job | None, list[int]] = {}
        self._at_step: dict[int, list[int]] = {}
        self._heirs: dict[int, int] = {}  # by trial whose point was promoted: as which trial
        self._wanted: dict[int, None] = {}

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns where in the brackets a trial is, and from whom it came."""
        found = self.trials.setdefault(trial, Evaluated())
        found.notes, found.step = notes, notes["step"]
        found.job = Job(notes["bracket"], notes["rung"])
        if "promoted" in notes:
            self._heirs[self._drawn[notes["promoted"]]] = trial

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's evaluation, anew where it had ended."""
        found = self.trials.setdefault(trial, Evaluated())
        is_new = not found.max_steps
        self._want(trial, max_steps)
        if is_new:
            found.job = found.job or Job(0, 0)
            self._drawn.append(trial)
            self._in_rung.setdefault(found.job, []).append(trial)
            self._at_step.setdefault(found.step, []).append(trial)
            found.turn = len(self._at_step[found.step]) - 1

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """Wants its evaluation, as of one without a note; it is in no bracket."""
        self.trials[trial] = Evaluated()
        self._in_rung.setdefault(None, []).append(trial)
        self._want(trial, max_steps)

    def _want(self, trial: int, max_steps: int) -> None:
        found = self.trials[trial]
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
        self.trials[trial].seen[step] = None if values is None else worth(values, self._maximize)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True
        self._wanted.pop(trial, None)

    def decide(self) -> list[Verdict]:
        """The evaluations, in the order of the trials' coming."""
        return [Extend(trial, self.trials[trial].step, self._reason(trial)) for trial in self._wanted]

    def finish(self) -> list[Verdict]:
        """Where no trial has come to its end, the best at the furthest step goes on."""
        waiting: list[tuple[int, Worth, int]] = []
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
        _, _, trial = min(waiting)
        reason = f"{self._ranked(trial)}; the best at the furthest step that any trial has come to"
        return [Extend(trial, self.trials[trial].max_steps, reason)]

    def standing(self, trial: int) -> str:
        """How it compares, what became of its point, and whether it has a place in the population."""
        found = self.trials[trial]
        if found.job is None or found.step not in found.seen:
            return self._where(found)
        return "; ".join(
            filter(None, [self._ranked(trial), self._future(trial, found.job), self._place(trial)])
        )

    # In words

    def _reason(self, trial: int) -> str:
        """Where it is evaluated, and from whom it came."""
        found = self.trials[trial]
        where = self._where(found)
        if "promoted" in found.notes and found.job is not None:
            parent = self._drawn[found.notes["promoted"]]
            count = self._sizes(found)[found.job.rung]
            return f"{where}; promoted from trial {parent}: {self._ranked(parent)}; {count} go on"
        if "parents" in found.notes:
            return f"{where}; {self._made_of(found.notes['parents'], found.notes['target'])}"
        return where

    def _where(self, found: Evaluated) -> str:
        text = f"evaluated at step {found.step}"
        return (
            f"{text}, rung {found.job.rung} of bracket {found.job.bracket}"
            if found.notes and found.job
            else text
        )

    def _ranked(self, trial: int) -> str:
        """Where an evaluated trial stands among those of its bracket at its step; of equals the lower is better."""
        found = self.trials[trial]
        there = [
            (values is None, values or (), each)
            for each in self._in_rung[found.job]
            if self.trials[each].step in self.trials[each].seen
            for values in [self.trials[each].seen[self.trials[each].step]]
        ]
        values = found.seen.get(found.step)
        rank = 1 + sum(each < (values is None, values or (), trial) for each in there)
        bracket = f" of bracket {found.job.bracket}" if found.job is not None else ""
        text = f"rank {rank} of {len(there)} at step {found.step}{bracket}"
        return text if values is None else f"{text}, {self._shown(values)}"

    def _future(self, trial: int, job: Job) -> str:
        """As which trial its point goes on; else how many of its rung do, and down to which value."""
        if trial in self._heirs:
            return f"its point goes on as trial {self._heirs[trial]}"
        found = self.trials[trial]
        above = Job(job.bracket, job.rung + 1)
        sizes = self._sizes(found)
        if job.bracket >= len(self._brackets(found).ladder) or above.rung >= len(sizes):
            return ""  # later brackets promote nobody, and from the last rung nobody goes on
        promoted = [
            self.trials[parent].seen.get(self.trials[parent].step)
            for parent, heir in self._heirs.items()
            if self.trials[heir].job == above
        ]
        values = [each for each in promoted if each is not None]
        if not values:
            return f"{sizes[above.rung]} go on once there are {sizes[job.rung]}"
        return f"{len(values)} go on, down to {self._shown(max(values))}"

    def _place(self, trial: int) -> str:
        """Whether an evolved trial took a place in the population of its step, as its sampler has it."""
        found = self.trials[trial]
        values = found.seen.get(found.step)
        if "parents" not in found.notes or values is None:
            return ""
        made = self._made_of(found.notes["parents"], found.notes["target"])
        brackets = self._brackets(found)
        size = brackets.population(brackets.ladder.index(found.step))
        best, holder = None, None  # of those who came to its place before it
        for each in self._at_step[found.step][found.turn % size : found.turn : size]:
            other = self.trials[each].seen.get(found.step)
            if other is not None and (best is None or other <= best):
                best, holder = other, each
        if best is None:
            return f"{made}, it took the place of a random point in the population"
        if values <= best:
            return f"{made}, it took the place of trial {holder}, {self._shown(best)}, in the population"
        return f"{made}, it took no place in the population: trial {holder}, {self._shown(best)}, keeps it"

    def _made_of(self, parents: Sequence[int | None], target: int | None) -> str:
        known = [str(self._drawn[each]) for each in parents if each is not None]
        random = len(parents) - len(known)
        words = [f"trial{'s' if len(known) > 1 else ''} {', '.join(known)}"] if known else []
        words += [f"{random} random points" if random > 1 else "a random point"] if random else []
        other = "a random point" if target is None else f"trial {self._drawn[target]}"
        return f"a mutant of {' and '.join(words)} crossed with {other}"

    def _brackets(self, found: Evaluated) -> DehbBrackets:
        return self._spec.brackets(found.max_steps, self._every)

    def _sizes(self, found: Evaluated) -> tuple[int, ...]:
        assert found.job is not None
        return self._brackets(found).sizes(found.job.bracket)

    def _shown(self, values: Worth) -> str:
        return shown(values, self._maximize)


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
    proposes: ClassVar[bool] = True
    constrained: ClassVar[bool] = True

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
        return Dehb(self, maximize, evaluate_every)

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
