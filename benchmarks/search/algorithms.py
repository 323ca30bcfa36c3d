"""The searches that are compared, by name. A policy of Hippo's is one more line of ``ALGORITHMS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.search import ours, peers
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress
from hippo_core import policies, samplers
from hippo_core.policies import PolicySpec
from hippo_core.samplers import Sampler

BASELINE = "asha_tpe"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A search.

    Attributes:
        name: How it is called.
        run: From the problem, the seed and how many trials are under way at a time.
        own: Whether Hippo decides, so that what it comes to may change with Hippo's core.
        fits: Whether it can search a problem.
    """

    name: str
    run: Callable[[Problem, int, int], Progress]
    own: bool
    fits: Callable[[Problem], bool] = lambda problem: True


def hippo(
    name: str,
    policy: Callable[[Problem], PolicySpec],
    sampler: Callable[[], Sampler],
    fits: Callable[[Problem], bool] = lambda problem: True,
) -> Algorithm:
    """A policy of Hippo's, with its sampler, for as many trials as the budget allows."""

    def run(problem: Problem, seed: int, slots: int) -> Progress:
        spec = ours.study(problem, policy(problem), sampler(), seed, ours.MOST_TRIALS, plain=False)
        return ours.search(problem, spec, slots)

    return Algorithm(name, run, own=True, fits=fits)


def optuna(name: str, make: peers.Makes) -> Algorithm:
    """A search of Optuna's."""
    return Algorithm(name, partial(_optuna, make), own=False)


def _optuna(make: peers.Makes, problem: Problem, seed: int, slots: int) -> Progress:
    return peers.search(problem, make, seed, slots)


def _pbt(problem: Problem, seed: int, slots: int) -> Progress:
    """A population that spends the budget, of plain values that forks change."""
    policy = policies.pbt(interval=problem.interval)
    spec = ours.study(problem, policy, samplers.random(), seed, problem.full_trials, plain=True)
    return ours.search(problem, spec, slots)


def _asha(problem: Problem) -> PolicySpec:
    return policies.asha(min_steps=problem.min_steps, reduction_factor=3)


ALGORITHMS: Mapping[str, Algorithm] = {
    each.name: each
    for each in (
        optuna("random", peers.random),
        optuna("tpe", peers.tpe),
        optuna("asha_tpe", peers.asha_tpe),
        Algorithm("pbt", _pbt, own=True, fits=lambda problem: problem.plain is not None),
        hippo("asha_bohb", _asha, samplers.bohb),
    )
}


def by_name(name: str) -> Algorithm:
    """One of ``ALGORITHMS``, or one that is spelt out: ``policies.NAME:samplers.NAME``, with their defaults."""
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    policy, _, sampler = name.partition(":")
    makes_policy = getattr(policies, policy.removeprefix("policies."), None)
    makes_sampler = getattr(samplers, sampler.removeprefix("samplers."), None)
    if makes_policy is None or makes_sampler is None:
        raise SystemExit(
            f"there is no search {name!r}: one of {', '.join(ALGORITHMS)}, or policies.A:samplers.B"
        )
    return hippo(name.replace(":", "+"), lambda problem: makes_policy(), makes_sampler)
