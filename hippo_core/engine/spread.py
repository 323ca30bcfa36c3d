"""What the repeats of a point come to together: means, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from hippo_core.engine.evaluations import mean_metrics, progress
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.plan import Metrics


def step_of(study: Study, trial: Trial) -> int:
    """The step that all repeats of a point have reached."""
    return min(progress(member) for member in study.members(trial.number))


def reached_by_all(study: Study, trial: Trial) -> int:
    """The furthest step of a closed request that all repeats of a point have."""
    return min(member.reached for member in study.members(trial.number))


def evaluations(trial: Trial, step: int) -> dict[int, Mapping[str, float | None]]:
    """The metrics on the path of a trial, or a repeat, by state up to a step."""
    leaf = trial.leaf
    if leaf is None:
        return {}
    found: dict[int, Mapping[str, float | None]] = {}
    stop = step
    for node in leaf.ancestry():
        found.update({each: node.metrics[each] for each in node.metrics if node.start < each <= stop})
        stop = min(stop, node.start)
    return dict(sorted(found.items()))


def point_evaluations(study: Study, trial: Trial, step: int) -> Iterator[tuple[int, Metrics, Metrics]]:
    """Of a point, by state that all its repeats were evaluated at: the means of the metrics, and their spread.

    The spread is the sample standard deviation; without repeats there is none. Where a value is not finite there is
    neither mean nor spread.
    """
    members = [evaluations(member, step) for member in study.members(trial.number)]
    for each in members[0]:
        if all(each in found for found in members):
            at = [found[each] for found in members]
            names = [name for name in at[0] if all(name in metrics for metrics in at)]
            values = {name: [metrics[name] for metrics in at] for name in names}
            spread = {} if len(at) == 1 else {name: _over(found, deviation) for name, found in values.items()}
            yield each, mean_metrics(at), spread


def mean(values: Sequence[float]) -> float:
    """The mean; that of one value is the value."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation of two values or more."""
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def _over(values: Sequence[float | None], function: Callable[[Sequence[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return function(known) if len(known) == len(values) else None
