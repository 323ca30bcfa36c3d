"""Samplers: which points of the space to try."""

from hippo_client.missing import refuse_unknown
from hippo_core.samplers import bohb, cma_es, gp, grid, nsga2, nsga3, optuna, outside, qmc, random, tpe

__all__ = ["bohb", "cma_es", "gp", "grid", "nsga2", "nsga3", "optuna", "outside", "qmc", "random", "tpe"]

_ELSEWHERE = {
    "auto": "The automatic choice is a policy, which brings its points: policy=policies.auto(), and no sampler.",
    "greedy_phases": "It is a policy, which brings its own points: policy=policies.greedy_phases(), and no sampler.",
    "dehb": "DEHB is a policy, which brings its own points: policy=policies.dehb(), and no sampler.",
    "fork_asha": "It is a policy, which brings its own points: policy=policies.fork_asha(), and no sampler.",
    "trie_asha": "Trie ASHA is a policy, which brings its own points: policy=policies.trie_asha(), and no sampler.",
    "phase_tree": "It is a policy, which brings its own points: policy=policies.phase_tree(), and no sampler.",
}

#: Classes and words of Optuna, Ray Tune and others.
_PEERS = {
    "TPESampler": "samplers.tpe()",
    "HyperOptSearch": "samplers.tpe()",
    "RandomSampler": "samplers.random()",
    "GridSampler": "samplers.grid()",
    "BruteForceSampler": "samplers.grid()",
    "BasicVariantGenerator": "samplers.random(), or samplers.grid()",
    "CmaEsSampler": "samplers.cma_es()",
    "GPSampler": "samplers.gp()",
    "BayesOptSearch": "samplers.gp()",
    "QMCSampler": "samplers.qmc()",
    "sobol": "samplers.qmc()",
    "NSGAIISampler": "samplers.nsga2()",
    "nsgaii": "samplers.nsga2()",
    "nsga_ii": "samplers.nsga2()",
    "NSGAIIISampler": "samplers.nsga3()",
    "nsgaiii": "samplers.nsga3()",
    "nsga_iii": "samplers.nsga3()",
    "TuneBOHB": "samplers.bohb(), with policy=policies.hyperband(asynchronous=True)",
    "OptunaSearch": 'samplers.optuna("TPESampler"), or another of Optuna\'s by its name',
    "PartialFixedSampler": "a space with the fixed values, and the sampler itself",
}

__getattr__ = refuse_unknown("samplers", __all__, elsewhere=_ELSEWHERE, peers=_PEERS)
