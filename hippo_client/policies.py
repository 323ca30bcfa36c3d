"""Policies: how far to train which trial."""

from hippo_client.missing import refuse_unknown
from hippo_core.policies import asha, full

__all__ = ["asha", "full"]

_LATER = dict.fromkeys(
    ("sha", "hyperband", "median", "pbt"),
    "Use policies.asha(min_steps=..., reduction_factor=...) or policies.full().",
)

__getattr__ = refuse_unknown("policies", __all__, _LATER)
