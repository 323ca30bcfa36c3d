"""Domains, which a sampler draws from, and what else belongs to a space."""

from hippo_client.missing import refuse_unknown
from hippo_core.space import choice, end_of, integer, logint, loguniform, quniform, uniform

__all__ = ["choice", "end_of", "integer", "logint", "loguniform", "quniform", "uniform"]

_LATER = {"constraint": "List the combinations that are allowed as dicts in space.choice([...])."}

__getattr__ = refuse_unknown("space", __all__, _LATER)
