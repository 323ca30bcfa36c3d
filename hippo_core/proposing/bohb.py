"""BOHB: a model of where good points lie, from the furthest step at which enough trials were compared.

After S. Falkner, A. Klein, F. Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018,
arXiv 1807.01774), sections 3.1 and 3.2, algorithm 2. Their symbols: D_b is the observations at the budget b, a step
here; rho is ``random_fraction``, q ``top_fraction``, N_s ``candidates``, b_w ``bandwidth_factor``, N_min
``min_points``; l is the density of the good points, l' the same with wider bandwidths, g that of the others. With a
probability of rho, or where no D_b has N_min + 2 observations, a point is random. Else, at the largest b that has, it
is that of N_s draws from l' with the largest l / g. Of N_b observations max(N_min, q * N_b) are good, and
max(N_min, N_b - that) are the others (equation 3).

Where it departs from the paper, and why:

- Trials that are on their way to b count among the others, so that proposals made side by side keep apart. Their
  kernels are as wide as those of l, as it is l's peaks that they are to be kept from. The paper leaves that to chance.
- A domain that only some points have is drawn evenly about points that lack it (``densities``). The paper is silent;
  its authors' program fills in values of other points at random.
- A trial that came to its end counts at the largest budget of all, whatever its last step is, so that trials that
  differ in ``max_steps`` are compared, too.
- A trial that diverged counts as the worst at every b from there on, but not towards N_min + 2.
- Observations that violate constraints are worse than all that do not, the smaller violation the better.
- A point that was tried before is passed over: its path is trained, and would bring nothing new.
- Kernels end where domains end, and draws from l' keep to it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from hippo_core.chance import uniform
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.policies.policy import Worth
from hippo_core.program import canonical_json
from hippo_core.proposing.densities import Array, Density, rows_of
from hippo_core.proposing.draws import Point, digest, generator
from hippo_core.samplers import Bohb, Random
from hippo_core.space import Assignment, Space
from hippo_core.values import Scalar

END = math.inf
"""The budget of a trial that came to its end."""


@dataclass(frozen=True, slots=True)
class Split:
    """What a model is made of: points that are good, others, and those that are not known yet."""

    budget: float
    good: tuple[Assignment, ...]
    others: tuple[Assignment, ...]
    pending: tuple[Assignment, ...]


def proposals(task: ProposalTask, sampler: Bohb) -> Iterator[Point]:
    """The points that BOHB proposes for a trial, one after the other, as long as none can be trained."""
    seed = task.spec.program.seed
    at_random = uniform(seed, task.trial, "random") < sampler.random_fraction
    split = None if at_random else split_of(task, sampler)
    tried = {_key(past.assignment) for past in task.history}
    for attempt in count():
        found = None if split is None else _likeliest(task, sampler, split, tried, attempt)
        yield found or _random(task, sampler, tried, attempt), {}


def split_of(task: ProposalTask, sampler: Bohb) -> Split | None:
    """The observations of the largest budget that has enough of them, in two parts; None: no budget has."""
    least = sampler.min_points or len(task.spec.space.domains) + 1
    known: dict[float, list[tuple[Worth, int]]] = {}
    for past in task.history:
        for budget, values in _by_budget(past).items():
            known.setdefault(budget, []).append((task.spec.worth(values), past.trial))
    enough = [budget for budget, found in known.items() if len(found) >= least + 2]
    if not enough:
        return None
    budget = max(enough)
    ranked = [trial for _, trial in sorted(known[budget])]
    there = set(ranked)
    diverged = [
        past.trial
        for past in task.history
        if past.state is TrialState.DIVERGED and past.reached <= budget and past.trial not in there
    ]
    pending = [
        past.trial for past in task.history if past.state is TrialState.WAITING and past.trial not in there
    ]
    total = len(ranked) + len(diverged)
    good = max(least, int(sampler.top_fraction * total))
    others = max(least, total - good)
    points = [past.assignment for past in task.history]
    return Split(
        budget=budget,
        good=tuple(points[trial] for trial in ranked[:good]),
        others=tuple(points[trial] for trial in [*ranked, *diverged][-others:]),
        pending=tuple(points[trial] for trial in pending),
    )


def _by_budget(past: PastTrial) -> dict[float, tuple[float, ...]]:
    """What a trial came to, by budget."""
    found: dict[float, tuple[float, ...]] = {}
    found |= past.values.items()
    if past.state is TrialState.COMPLETED and found:
        found[END] = found.pop(max(found))
    return found


def _key(point: Assignment) -> str:
    return canonical_json(dict(point))


def _random(task: ProposalTask, sampler: Bohb, tried: set[str], attempt: int) -> dict[str, Scalar]:
    """A random point; a new one if one is come upon."""
    seed, found = task.spec.program.seed, {}
    for draw in range(sampler.candidates):
        found = dict(Random().point(task.spec.space, digest(seed, attempt, draw), task.trial))
        if _key(found) not in tried:
            break
    return found


def _likeliest(
    task: ProposalTask, sampler: Bohb, split: Split, tried: set[str], attempt: int
) -> dict[str, Scalar] | None:
    """Of new points that satisfy the constraints, drawn from l', the one with the largest l / g; None: none is."""
    space = task.spec.space
    good = Density(space, split.good, sampler.min_bandwidth)
    stream = generator(task.spec.program.seed, task.trial, attempt, "model")
    drawn = [good.draw(stream, sampler.bandwidth_factor) for _ in range(sampler.candidates)]
    found = [point for point in drawn if space.satisfied(point) and _key(point) not in tried]
    if not found:
        return None
    rows = rows_of(space, found)
    return found[int((good.log(rows) - _log_others(space, split, good, sampler, rows)).argmax())]


def _log_others(space: Space, split: Split, good: Density, sampler: Bohb, rows: Array) -> Array:
    """The logarithm of g."""
    known = Density(space, split.others, sampler.min_bandwidth).log(rows)
    if not split.pending:
        return known
    about = Density(space, split.pending, sampler.min_bandwidth, good.bandwidths).log(rows)
    counts = np.log([len(split.others), len(split.pending)]) - math.log(
        len(split.others) + len(split.pending)
    )
    return np.asarray(np.logaddexp(known + counts[0], about + counts[1]))
