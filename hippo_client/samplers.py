"""Samplers: which points of the space to try."""

from hippo_client.missing import refuse_unknown
from hippo_core.samplers import bohb, cma_es, gp, grid, nsga2, nsga3, optuna, outside, qmc, random, tpe

__all__ = ["bohb", "cma_es", "gp", "grid", "nsga2", "nsga3", "optuna", "outside", "qmc", "random", "tpe"]

_ELSEWHERE = {
    "dehb": "DEHB is a policy, which brings its own points: policy=policies.dehb(), and no sampler."
}

__getattr__ = refuse_unknown("samplers", __all__, elsewhere=_ELSEWHERE)
