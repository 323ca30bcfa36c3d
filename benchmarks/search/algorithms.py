"""The searches that are compared, by name. A policy of Hippo's is one more line of ``ALGORITHMS``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.search import ours, peers
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress
from hippo_core import policies, samplers
from hippo_core.choosing import choose
from hippo_core.outlook import study_phases
from hippo_core.policies import PolicySpec
from hippo_core.samplers import Sampler
from hippo_core.space import Space
from hippo_core.study import StudySpec

BASELINE = "asha_tpe"
AUTO_TRIALS = 4  #: per trial of full length


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A search.

    Attributes:
        name: How it is called.
        own: Whether Hippo decides.
        run: From the problem, the seed and how many trials are under way at a time.
        words: All that decides but the seed and the code, from the problem and how many trials are under way.
        fits: Whether it can search a problem.
    """

    name: str
    own: bool
    run: Callable[[Problem, int, int], Progress]
    words: Callable[[Problem, int], str]
    fits: Callable[[Problem], bool]


Makes = Callable[[Problem, int, int], StudySpec]
"""A study, from the problem, the seed and how many trials are under way at a time."""


def _everywhere(problem: Problem) -> bool:
    return True


def hippo(
    name: str,
    policy: Callable[[Problem], PolicySpec],
    sampler: Callable[[], Sampler],
    fits: Callable[[Problem], bool] = _everywhere,
) -> Algorithm:
    """A policy of Hippo's, with its sampler, for as many trials as the budget allows."""

    def make(problem: Problem, seed: int, slots: int) -> StudySpec:
        return ours.study(problem, policy(problem), sampler(), seed, ours.MOST_TRIALS, plain=False)

    return studied(name, make, fits)


def studied(name: str, make: Makes, fits: Callable[[Problem], bool] = _everywhere) -> Algorithm:
    """A study of Hippo's."""

    def run(problem: Problem, seed: int, slots: int) -> Progress:
        return ours.search(problem, make(problem, seed, slots), slots)

    def words(problem: Problem, slots: int) -> str:
        return _written(make(problem, 0, slots).to_json())

    return Algorithm(name, own=True, run=run, words=words, fits=fits)


def optuna(name: str, makes: peers.Makes) -> Algorithm:
    """A search of Optuna's."""

    def run(problem: Problem, seed: int, slots: int) -> Progress:
        return peers.search(problem, makes, seed, slots)

    def words(problem: Problem, slots: int) -> str:
        searched = _written(Space(problem.entries).to_json())
        return f"{name} {problem.min_steps} {problem.max_steps} {problem.budget} {searched}"

    return Algorithm(name, own=False, run=run, words=words, fits=_everywhere)


def _written(found: dict[str, Any]) -> str:
    return json.dumps(found, sort_keys=True)


def _has_phases(problem: Problem) -> bool:
    """Whether there is a step to fork at."""
    spec = ours.study(problem, policies.full(), samplers.random(), 0, 1, plain=False)
    return any(phase.start for phase in study_phases(spec))


def _pbt(problem: Problem, seed: int, slots: int) -> StudySpec:
    """A population that spends the budget, of plain values that forks change."""
    policy = policies.pbt(interval=problem.interval)
    return ours.study(problem, policy, samplers.random(), seed, problem.full_trials, plain=True)


def _trie_asha(problem: Problem) -> PolicySpec:
    return policies.trie_asha(min_steps=problem.min_steps, reduction_factor=3)


def _is_finite(problem: Problem) -> bool:
    return Space(problem.entries).unlistable() is None


def _auto(problem: Problem, seed: int, slots: int) -> StudySpec:
    """What policies.auto() chooses for about the trials that ASHA has for the budget; for as many as it takes."""
    trials = AUTO_TRIALS * problem.full_trials
    spec = ours.study(problem, policies.auto(), samplers.auto(), seed, trials, plain=False)
    return replace(choose(spec, slots), max_trials=ours.MOST_TRIALS, chosen=None)


def _chooses_own(problem: Problem) -> bool:
    """Whether the simulator has what is chosen: it has random points in place of Optuna's."""
    return _auto(problem, 0, 1).policy.proposes


ALGORITHMS: Mapping[str, Algorithm] = {
    each.name: each
    for each in (
        optuna("random", peers.random),
        optuna("tpe", peers.tpe),
        optuna("asha_tpe", peers.asha_tpe),
        hippo(
            "fork_asha",
            lambda problem: policies.fork_asha(min_steps=problem.min_steps),
            samplers.fork_asha,
            fits=_has_phases,
        ),
        hippo("phase_tree", lambda problem: policies.phase_tree(), samplers.phase_tree, fits=_has_phases),
        hippo(
            "greedy_phases",
            lambda problem: policies.greedy_phases(),
            samplers.greedy_phases,
            fits=_has_phases,
        ),
        studied("auto", _auto, fits=_chooses_own),
        studied("pbt", _pbt, fits=lambda problem: problem.plain is not None),
        hippo("trie_asha", _trie_asha, samplers.trie_asha, fits=_is_finite),
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
