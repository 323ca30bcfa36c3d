"""Median stopping: percentile stopping, with the median; see ``percentile_stopping`` for the source."""

from __future__ import annotations

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.policies.percentile_stopping import PEERS, PercentileStoppingSpec


@worded("policies.median_stopping", PEERS)
def median_stopping(min_steps: int = 1, min_trials: int = 5) -> PercentileStoppingSpec:
    """Stops a trial whose best value is worse than the median of the others' running averages at the same step.

    Args:
        min_steps: The first step at which trials are judged.
        min_trials: How many other trials must have been evaluated at a step.
    """
    return PercentileStoppingSpec(
        percentile=None,
        min_steps=arguments.integer(min_steps, "policies.median_stopping.min_steps", 1),
        min_trials=arguments.integer(min_trials, "policies.median_stopping.min_trials", 1),
    )
