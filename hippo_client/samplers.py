"""Samplers: which points of the space to try."""

from hippo_client.missing import refuse_unknown
from hippo_core.samplers import cma_es, gp, grid, nsga2, nsga3, optuna, qmc, random, tpe

__all__ = ["cma_es", "gp", "grid", "nsga2", "nsga3", "optuna", "qmc", "random", "tpe"]

__getattr__ = refuse_unknown("samplers", __all__)
