"""A population: trials that are compared every so many steps, where forks of the best take the places of the worst.

After M. Jaderberg et al., "Population Based Training of Neural Networks" (arXiv 1711.09846), section 3, algorithm 1,
with truncation selection (section 4.1.1). The study's trials are the population; each has a *place* in it, which is
handed on to the fork that replaces it. Every ``interval`` steps a place's trial is judged: where it is among the worst
``quantile`` of those who came to that step, a fork of one of the best ``quantile``, drawn by chance, takes its place,
and explores other values from that step on. Their exploit, which copies weights and hyper-parameters, is such a fork:
it goes on from its parent's state, and nothing is copied or trained twice.

Where it departs from the paper:

- Trials are compared at the same step, by the evaluation there; by the constrained order, where the study has
  constraints.
- By default a step decides when all the population that can come to it has: who is replaced by whom does not depend on
  the order of arrival. Asynchronously a trial is compared, as it comes, with those who came to the step before it.
- A trial that diverged, failed or was stopped by a user is the worst at the next step that it would have come to.
- Trials differ in ``max_steps``: each is compared below its own.
- Trials that users fork are no part of the population; they are trained to their ends.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core import arguments
from hippo_core.chance import uniform
from hippo_core.errors import InvalidStudy
from hippo_core.policies.exploring import explored
from hippo_core.policies.policy import (
    ExploringPolicy,
    Extend,
    Fork,
    PolicySpec,
    Values,
    Verdict,
    Worth,
    round_up,
    shown,
    worth,
)
from hippo_core.space import Assignment, Space

PEERS: Mapping[str, str] = {
    "perturbation_interval": "interval, in steps",
    "time_attr": "interval, which is in the study's steps",
    "quantile_fraction": "quantile",
    "resample_prob": "resample_probability",
    "perturbation_factors": "factors, of policies.pbt",
    "hyperparam_mutations": "the study's space: what is drawn there is explored",
    "hyperparam_bounds": "the study's space: the bounds of its domains",
    "population_size": "max_trials, which is the study's",
    "synch": "asynchronous",
    "metric": "minimize or maximize, which are the study's",
    "mode": "minimize or maximize, which are the study's",
}
"""For argument names that other systems use, ours."""

NEARLY = 1e-9  #: so that a share of a number of trials that is whole but for rounding is whole


@dataclass(slots=True)
class Member:
    """What is known of a trial.

    Attributes:
        max_steps: How far it may be trained.
        place: In the population; None: it has none, or no longer.
        at: The step at which it was forked; 0: it was drawn.
        parent: From which trial.
        by_user: Whether a user forked it.
        asked: The furthest step requested.
        there: The furthest step observed, or at which it was forked.
        judged: Up to which step it was judged.
        values: By step, what was observed; None: not finite.
        ended: Whether it failed, diverged or was stopped by a user.
    """

    max_steps: int
    place: int | None = None
    at: int = 0
    parent: int | None = None
    by_user: bool = False
    asked: int = 0
    there: int = 0
    judged: int = 0
    values: dict[int, Worth | None] = field(default_factory=dict)
    ended: bool = False

    def due(self, interval: int) -> int | None:
        """The step at which it is judged next; None: it is not before its end."""
        is_here = self.there > self.judged and self.there % interval == 0
        step = self.there if is_here else self.next_step(interval)
        return step if step < self.max_steps else None

    def next_step(self, interval: int) -> int:
        """The next step above where it stands at which trials are judged."""
        return (self.there // interval + 1) * interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Who is compared when.

    Attributes:
        interval: Trials are judged at its multiples.
        quantile: The share that is replaced, and the share of those whose forks take their places.
        asynchronous: Whether a trial is judged as it comes.
        maximize: Whether the larger value of the objective is the better one.
        trials: How many trials are to come: the population, and those that users fork.
    """

    interval: int
    quantile: float
    asynchronous: bool
    maximize: bool
    trials: int

    def count(self, compared: int) -> int:
        """How many of so many are replaced: at most half; where all have come, at least one."""
        share = math.floor(self.quantile * compared + NEARLY)
        return min(share if self.asynchronous else max(1, share), compared // 2)


class Population(ExploringPolicy):
    """Replaces the worst by forks of the best.

    Args:
        selection: Who is compared when.
    """

    resting = "waits for the others to come there"

    def __init__(self, selection: Selection) -> None:
        self.trials: dict[int, Member] = {}
        self.places: list[int] = []  #: by place, its trial
        self._came = 0  # how many trials have come that are no forks of its own
        self.space = Space({})
        self.seed = 0
        self.selection = selection
        self._observed: dict[int, dict[int, Worth | None]] = {}  # by step and trial, of the population
        self._verdicts: list[Verdict] | None = None  # None: to be decided anew

    def searches(self, space: Space, seed: int) -> None:
        """Is what chance is a function of, and what is explored."""
        self.space, self.seed = space, seed

    def added(self, trial: int, max_steps: int) -> None:
        """Gives a new trial a place; one that had ended is tried again."""
        self._verdicts = None
        known = self.trials.get(trial)
        if known is None:
            self._came += 1
            self.trials[trial] = Member(max_steps, place=len(self.places))
            self.places.append(trial)
            return
        known.max_steps = max_steps
        if known.ended:
            known.ended, known.asked = False, known.there

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """Hands the place of the one on to the other."""
        self._verdicts = None
        if instead_of is None:
            self._came += 1
            self.trials[trial] = Member(max_steps, by_user=True)
            return
        replaced = self.trials[instead_of]
        place, replaced.place = replaced.place, None
        assert place is not None
        self.places[place] = trial
        self.trials[trial] = Member(
            max_steps, place=place, at=at, parent=parent, asked=at, there=at, judged=at
        )

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; the trial was judged where it stands."""
        self._verdicts = None
        known = self.trials[trial]
        known.asked, known.judged, known.ended = step, known.there, False

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """It can be compared at the step."""
        self._verdicts = None
        known = self.trials[trial]
        value = None if values is None else worth(values, (self.selection.maximize,))
        known.there, known.values[step] = step, value
        if known.place is not None:
            self._observed.setdefault(step, {})[trial] = value

    def ended(self, trial: int) -> None:
        """It is the worst from here on."""
        self._verdicts = None
        self.trials[trial].ended = True

    def decide(self) -> list[Verdict]:
        """First those that go on unjudged, by place; then step by step who is replaced, and who goes on."""
        if self._verdicts is None:
            self._verdicts = [*self._unjudged(), *self._judged()]
        return list(self._verdicts)

    def standing(self, trial: int) -> str:
        """Who has its place."""
        return "" if self.trials[trial].place is not None else "it has no place in the population"

    # Within

    def _unjudged(self) -> Iterator[Extend]:
        """Those that are to go on to where they are judged next, or to their ends."""
        interval = self.selection.interval
        for trial in [*self.places, *(each for each, known in self.trials.items() if known.by_user)]:
            known = self.trials[trial]
            if known.ended or known.asked > known.there or known.there >= known.max_steps:
                continue
            if known.by_user:
                yield Extend(trial, known.max_steps, "forked by a user: to its end")
            elif known.due(interval) != known.there:
                start = "enters" if not known.there else f"goes on from step {known.there}"
                yield Extend(trial, self._goal(known), f"{start}, {self._aim(known)}")

    def _judged(self) -> Iterator[Verdict]:
        """The verdicts on those that have come to a step that decides."""
        waiting: dict[int, list[int]] = {}  # by step, whom to judge
        first_open = math.inf  # nothing decides beyond the step to which somebody is on the way
        for trial in self.places:
            known = self.trials[trial]
            due = known.due(self.selection.interval)
            if due is None:
                continue
            if known.ended or known.there == due:
                waiting.setdefault(due, []).append(trial)
            else:
                first_open = min(first_open, due)
        if not self.selection.asynchronous and self._came < self.selection.trials:
            return
        for step in sorted(waiting):
            if self.selection.asynchronous or step < first_open:
                found = list(self._verdicts_at(step, waiting[step]))
                yield from found
                first_open = min(first_open, step) if found else first_open  # they go on from there

    def _verdicts_at(self, step: int, judged: list[int]) -> Iterator[Verdict]:
        seen = dict(self._observed.get(step, {}))
        seen.update((trial, None) for trial in judged if self.trials[trial].ended)
        ranked = [
            trial for _, trial in sorted((value, trial) for trial, value in seen.items() if value is not None)
        ]
        count = self.selection.count(len(seen))
        best = ranked[: max(1, count)]
        ranked += sorted(trial for trial, value in seen.items() if value is None)
        rank = {trial: place for place, trial in enumerate(ranked, start=1)}
        for trial in judged:
            known = self.trials[trial]
            if seen[trial] is None and not known.ended:
                continue  # it is about to end
            if seen[trial] is None or rank[trial] > len(seen) - count:
                if best:
                    parent = best[int(uniform(self.seed, "exploit", known.place or 0, step) * len(best))]
                    winner = f"trial {parent} is of rank {rank[parent]}, {self._shown(seen[parent])}"
                    yield Fork(parent, step, trial, f"{self._place(trial, step, seen, rank)}; {winner}")
            else:
                replaced = f"the last {count} are replaced; {self._aim(known)}"
                yield Extend(trial, self._goal(known), f"{self._place(trial, step, seen, rank)}; {replaced}")

    def _goal(self, known: Member) -> int:
        return min(known.next_step(self.selection.interval), known.max_steps)

    def _aim(self, known: Member) -> str:
        goal = self._goal(known)
        return "to its end" if goal == known.max_steps else f"compared next at step {goal}"

    def _place(self, trial: int, step: int, seen: Mapping[int, Worth | None], rank: Mapping[int, int]) -> str:
        """Where a trial stands among those compared, in words and numbers."""
        value = seen[trial]
        if value is not None:
            return f"rank {rank[trial]} of {len(seen)} at step {step}, {self._shown(value)}"
        return f"rank {rank[trial]} of {len(seen)} at step {step}, for it had ended"

    def _shown(self, value: Worth | None) -> str:
        assert value is not None
        return shown(value, (self.selection.maximize,))

    def _siblings(self, fork: Fork, assignments: Callable[[int], Assignment]) -> list[Assignment]:
        """The draws that a fork had better not have: its parent's, and those of forks of it at the same step."""
        return [
            assignments(fork.trial),
            *(
                assignments(trial)
                for trial, known in self.trials.items()
                if known.place is not None and (known.parent, known.at) == (fork.trial, fork.at)
            ),
        ]

    def _chance(self, fork: Fork, attempt: int, name: str) -> Callable[[str], float]:
        """Numbers for exploring one domain, a function of the seed, the place and the step."""
        place = self.trials[fork.instead_of].place or 0
        return lambda purpose: uniform(self.seed, "explore", place, fork.at, attempt, name, purpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationSpec(PolicySpec):
    """A population.

    Attributes:
        interval: Every how many steps trials are compared; rounded up to ``evaluate_every``.
        quantile: The share that is replaced, and the share of those whose forks take their places.
        resample_probability: How often a value that is explored by itself is drawn anew.
        asynchronous: Whether a trial is compared as it comes.
    """

    interval: int
    quantile: float
    resample_probability: float
    asynchronous: bool

    @abstractmethod
    def populate(self, selection: Selection) -> Population:
        """The policy, given who is compared when."""

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Population:
        """The policy at the beginning of a study."""
        return self.populate(
            Selection(
                interval=round_up(self.interval, evaluate_every),
                quantile=self.quantile,
                asynchronous=self.asynchronous,
                maximize=maximize[0],
                trials=max_trials,
            )
        )

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """There must be a step on the way at which trials are compared."""
        every = round_up(self.interval, evaluate_every)
        if max_steps is not None and every >= max_steps:
            raise InvalidStudy(
                f"policies.{self.name}.interval",
                f"{every} steps are not below max_steps={max_steps}: no trials would be compared",
                "Give a smaller interval.",
            )
        if every == self.interval:
            return []
        return [f"interval={self.interval} is rounded up to {every}, for evaluate_every={evaluate_every}"]

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        """There must be something to explore, and somebody to compare with."""
        if not explored(space):
            raise InvalidStudy(
                f"policies.{self.name}",
                "explores hyper-parameters that are numbers or constants drawn from a domain, and there are none",
                "Write one as space.loguniform(1e-4, 1e-1) or space.choice([16, 32]), outside schedules.",
            )
        if max_trials < 2:
            raise InvalidStudy(
                "max_trials",
                f"is the size of the population of policies.{self.name}, and must be at least 2, not {max_trials}",
                "Give 8 or more.",
            )

    def to_json(self) -> dict[str, Any]:
        """``{"policy": name, ...}``."""
        return {
            "policy": self.name,
            "interval": self.interval,
            "quantile": self.quantile,
            "resample_probability": self.resample_probability,
            "asynchronous": self.asynchronous,
        }


def population_arguments(
    label: str, interval: Any, quantile: Any, resample_probability: Any, asynchronous: Any
) -> dict[str, Any]:
    """The arguments that populations have in common, checked.

    Raises:
        InvalidStudy: One is wrong.
    """
    share = arguments.number(quantile, f"{label}.quantile")
    if not 0 < share <= 1 / 2:
        raise InvalidStudy(f"{label}.quantile", f"must be above 0 and at most 0.5, not {share}")
    resampled = arguments.number(resample_probability, f"{label}.resample_probability")
    if not 0 <= resampled <= 1:
        raise InvalidStudy(f"{label}.resample_probability", f"must be from 0 to 1, not {resampled}")
    if not isinstance(asynchronous, bool):
        raise InvalidStudy(f"{label}.asynchronous", f"must be True or False, not {asynchronous!r}")
    return {
        "interval": arguments.integer(interval, f"{label}.interval", 1),
        "quantile": share,
        "resample_probability": resampled,
        "asynchronous": asynchronous,
    }
