"""Schedules: the values of one hyper-parameter over the steps of a trial."""

from hippo_client.missing import refuse_unknown
from hippo_core.schedules import (
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    from_function,
    linear,
    multistep,
    one_cycle,
    piecewise,
    polynomial,
    rounded,
    step_decay,
    table,
    warmup,
    wsd,
)

__all__ = [
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "from_function",
    "linear",
    "multistep",
    "one_cycle",
    "piecewise",
    "polynomial",
    "rounded",
    "step_decay",
    "table",
    "warmup",
    "wsd",
]

__getattr__ = refuse_unknown("schedules", __all__)
