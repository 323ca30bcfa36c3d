"""What searches came to, beside the baseline: shares of the budget, regrets, and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.search.algorithms import ALGORITHMS, BASELINE, Algorithm
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress, median
from benchmarks.search.runs import run

PARTS = (0.25, 0.5, 1.0)
NO_RESULT = 1e9  #: stands for an infinite loss where differences are ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An algorithm on a problem, over its seeds.

    Attributes:
        algorithm: Its name.
        seeds: How many.
        share: After which share of the budget it has come to the baseline's quality, in trained steps; the median.
        share_alone: The same in steps of trials, each trained alone.
        arrived: The share of the seeds that come to it within the budget.
        regrets: In per cent above the best that is known, after each of ``PARTS`` of the budget; medians.
        regrets_alone: The same in steps of trials.
        test: The test loss of the trial with the lowest validation loss; the median.
        gain: How much lower the final loss is than the baseline's with the same seed, in per cent; the median.
        better: In how many seeds the final loss is lower than the baseline's.
        worse: In how many it is higher.
        p: Of Wilcoxon's signed rank test of these differences, two-sided.
        ratio: Steps of trials per step trained, the mean.
        full: How many trials of full length, the mean.
    """

    algorithm: str
    seeds: int
    share: float
    share_alone: float
    arrived: float
    regrets: tuple[float, ...]
    regrets_alone: tuple[float, ...]
    test: float
    gain: float
    better: int
    worse: int
    p: float
    ratio: float
    full: float


def target(problem: Problem, seeds: Sequence[int], slots: int) -> float:
    """What the baseline comes to with all of the budget: the median over seeds."""
    return median(
        each.loss_at(problem.budget) for each in results(problem, ALGORITHMS[BASELINE], seeds, slots)
    )


def results(problem: Problem, algorithm: Algorithm, seeds: Sequence[int], slots: int) -> list[Progress]:
    return [run(problem, algorithm, seed, slots) for seed in seeds]


def compare(
    problem: Problem, found: Sequence[Progress], baseline: Sequence[Progress], quality: float, name: str
) -> Row:
    """Compares an algorithm with the baseline.

    Args:
        problem: What was searched.
        found: What the algorithm came to.
        baseline: What the baseline came to, with the same seeds.
        quality: The loss to come to.
        name: The algorithm's.
    """
    budget, best = problem.budget, problem.memo.lowest(problem.max_steps)
    final = [each.loss_at(budget) for each in found]
    theirs = [each.loss_at(budget) for each in baseline]
    return Row(
        algorithm=name,
        seeds=len(found),
        share=median(each.steps_to(quality) for each in found) / budget,
        share_alone=median(each.steps_to(quality, alone=True) for each in found) / budget,
        arrived=sum(each.steps_to(quality) <= budget for each in found) / len(found),
        regrets=tuple(_regret(found, best, part * budget, alone=False) for part in PARTS),
        regrets_alone=tuple(_regret(found, best, part * budget, alone=True) for part in PARTS),
        test=median(each.loss_at(budget, test=True) for each in found),
        gain=median(100 * (1 - own / other) for own, other in zip(final, theirs, strict=True)),
        better=sum(own < other for own, other in zip(final, theirs, strict=True)),
        worse=sum(own > other for own, other in zip(final, theirs, strict=True)),
        p=signed_rank(final, theirs),
        ratio=sum(each.alone / max(1, each.trained) for each in found) / len(found),
        full=sum(each.full for each in found) / len(found),
    )


def _regret(found: Sequence[Progress], best: float, steps: float, *, alone: bool) -> float:
    return median(100 * (each.loss_at(steps, alone=alone) / best - 1) for each in found)


def signed_rank(own: Sequence[float], other: Sequence[float]) -> float:
    """The p-value of Wilcoxon's signed rank test, two-sided; 1 where nothing differs."""
    from scipy.stats import wilcoxon

    differences = [
        min(mine, NO_RESULT) - min(theirs, NO_RESULT) for mine, theirs in zip(own, other, strict=True)
    ]
    return float(wilcoxon(differences).pvalue) if any(differences) else 1.0
