"""Policies: how far to train which trial."""

from hippo_client.missing import refuse_unknown
from hippo_client.own_policy import own
from hippo_core.policies import (
    asha,
    auto,
    dehb,
    fork_asha,
    full,
    greedy_phases,
    hyperband,
    manual,
    median_stopping,
    pasha,
    patience,
    pb2,
    pbt,
    percentile_stopping,
    phase_tree,
    sha,
    threshold_stopping,
    trie_asha,
)

__all__ = [
    "asha",
    "auto",
    "dehb",
    "fork_asha",
    "full",
    "greedy_phases",
    "hyperband",
    "manual",
    "median_stopping",
    "own",
    "pasha",
    "patience",
    "pb2",
    "pbt",
    "percentile_stopping",
    "phase_tree",
    "sha",
    "threshold_stopping",
    "trie_asha",
]

_ELSEWHERE = {
    "bohb": "BOHB is a sampler beside a policy: sampler=samplers.bohb(), policy=policies.hyperband(asynchronous=True).",
}

_ASHA = "policies.asha(), or with stopping=True, so that nothing stopped is taken up again"
_HYPERBAND = "policies.hyperband(), or with asynchronous=True, so that no trial waits for the whole rung"
#: Classes and words of Optuna, Ray Tune and others.
_PEERS = {
    "ASHAScheduler": _ASHA,
    "AsyncHyperBandScheduler": _ASHA,
    "SuccessiveHalvingPruner": _ASHA,
    "successive_halving": "policies.sha(), or policies.asha(), which waits for no whole rung",
    "HyperBandScheduler": _HYPERBAND,
    "HyperbandPruner": _HYPERBAND,
    "HyperBandForBOHB": "policies.hyperband(asynchronous=True), with sampler=samplers.bohb()",
    "MedianPruner": "policies.median_stopping()",
    "MedianStoppingRule": "policies.median_stopping()",
    "PercentilePruner": "policies.percentile_stopping(percentile=...)",
    "ThresholdPruner": "policies.threshold_stopping(...)",
    "PatientPruner": "policies.patience(evaluations=...)",
    "TrialPlateauStopper": "policies.patience(evaluations=...)",
    "PopulationBasedTraining": "policies.pbt(...)",
    "PB2": "policies.pb2(...)",
    "FIFOScheduler": "policies.full()",
    "NopPruner": "policies.full()",
    "autolrs": "policies.greedy_phases(), which is after AutoLRS",
}

__getattr__ = refuse_unknown("policies", __all__, elsewhere=_ELSEWHERE, peers=_PEERS)
