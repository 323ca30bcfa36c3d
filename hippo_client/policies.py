"""Policies: how far to train which trial."""

from hippo_client.missing import refuse_unknown
from hippo_client.own_policy import own
from hippo_core.policies import (
    asha,
    dehb,
    full,
    hyperband,
    manual,
    median_stopping,
    pasha,
    patience,
    pb2,
    pbt,
    percentile_stopping,
    sha,
    threshold_stopping,
)

__all__ = [
    "asha",
    "dehb",
    "full",
    "hyperband",
    "manual",
    "median_stopping",
    "own",
    "pasha",
    "patience",
    "pb2",
    "pbt",
    "percentile_stopping",
    "sha",
    "threshold_stopping",
]

_ELSEWHERE = {
    "bohb": "BOHB is a sampler beside a policy: sampler=samplers.bohb(), policy=policies.hyperband(asynchronous=True).",
}

__getattr__ = refuse_unknown("policies", __all__, elsewhere=_ELSEWHERE)
