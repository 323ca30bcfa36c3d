"""Samplers: which points of the space to try."""

from hippo_client.missing import refuse_unknown
from hippo_core.samplers import grid, random

__all__ = ["grid", "random"]

_LATER = dict.fromkeys(("tpe", "gp", "cmaes", "qmc", "nsga2"), "Use samplers.random() or samplers.grid().")

__getattr__ = refuse_unknown("samplers", __all__, _LATER)
