"""Domains, which a sampler draws from, and what else belongs to a space."""

from hippo_core.space import choice, end_of, integer, logint, loguniform, quniform, uniform

__all__ = ["choice", "end_of", "integer", "logint", "loguniform", "quniform", "uniform"]
