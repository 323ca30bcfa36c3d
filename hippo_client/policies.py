"""Policies: how far to train which trial."""

from hippo_core.policies import asha, full

__all__ = ["asha", "full"]
