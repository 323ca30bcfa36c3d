"""Policies: how far to train which trial."""

from hippo_client.missing import refuse_unknown
from hippo_core.policies import (
    asha,
    full,
    hyperband,
    median_stopping,
    pasha,
    patience,
    pbt,
    percentile_stopping,
    sha,
    threshold_stopping,
)

__all__ = [
    "asha",
    "full",
    "hyperband",
    "median_stopping",
    "pasha",
    "patience",
    "pbt",
    "percentile_stopping",
    "sha",
    "threshold_stopping",
]

_LATER = {
    **dict.fromkeys(("bohb", "dehb"), "Use policies.hyperband(min_steps=..., reduction_factor=...)."),
    "pb2": "Use policies.pbt(interval=...).",
}

__getattr__ = refuse_unknown("policies", __all__, _LATER)
