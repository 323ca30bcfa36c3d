"""Domains, which a sampler draws from, and what else belongs to a space."""

from hippo_client.missing import refuse_unknown
from hippo_core.space import (
    choice,
    constraint,
    end_of,
    integer,
    logint,
    loguniform,
    quniform,
    uniform,
)

__all__ = ["choice", "constraint", "end_of", "integer", "logint", "loguniform", "quniform", "uniform"]

__getattr__ = refuse_unknown("space", __all__)
