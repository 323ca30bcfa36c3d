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

#: Classes and words of PyTorch and others.
_PEERS = {
    "CosineAnnealingLR": "schedules.cosine(...)",
    "CosineAnnealingWarmRestarts": "schedules.cosine_restarts(...)",
    "StepLR": "schedules.step_decay(...)",
    "MultiStepLR": "schedules.multistep(...)",
    "ExponentialLR": "schedules.exponential(...)",
    "LinearLR": "schedules.linear(...)",
    "PolynomialLR": "schedules.polynomial(...)",
    "OneCycleLR": "schedules.one_cycle(...)",
    "CyclicLR": "schedules.cyclic(...)",
    "ConstantLR": "schedules.constant(...)",
    "LambdaLR": "schedules.from_function(...)",
    "trapezoidal": "schedules.wsd(...)",
    "cooldown": "schedules.wsd(...)",
}

__getattr__ = refuse_unknown("schedules", __all__, peers=_PEERS)
