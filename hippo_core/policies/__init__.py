"""Policies: how far to train whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.policies.asha import AshaSpec, asha
from hippo_core.policies.auto import AutoSpec, auto
from hippo_core.policies.dehb import DehbSpec, dehb
from hippo_core.policies.fork_asha import ForkAshaSpec, fork_asha
from hippo_core.policies.full import FullSpec, full
from hippo_core.policies.greedy_phases import GreedyPhasesSpec, greedy_phases
from hippo_core.policies.hyperband import HyperbandSpec, hyperband
from hippo_core.policies.manual import ManualSpec, manual
from hippo_core.policies.median_stopping import median_stopping
from hippo_core.policies.own import OwnSpec, own
from hippo_core.policies.pasha import PashaSpec, pasha
from hippo_core.policies.patience import PatienceSpec, patience
from hippo_core.policies.pb2 import Pb2Spec, pb2
from hippo_core.policies.pbt import PbtSpec, pbt
from hippo_core.policies.percentile_stopping import PercentileStoppingSpec, percentile_stopping
from hippo_core.policies.phase_tree import PhaseTreeSpec, phase_tree
from hippo_core.policies.policy import (
    ExploringPolicy,
    Extend,
    Fork,
    Policy,
    PolicySpec,
    Probe,
    Promote,
    Stop,
    Values,
    Verdict,
)
from hippo_core.policies.sha import ShaSpec, sha
from hippo_core.policies.threshold_stopping import ThresholdStoppingSpec, threshold_stopping
from hippo_core.policies.trie_asha import TrieAshaSpec, trie_asha

__all__ = [
    "AshaSpec",
    "AutoSpec",
    "DehbSpec",
    "ExploringPolicy",
    "Extend",
    "Fork",
    "ForkAshaSpec",
    "FullSpec",
    "GreedyPhasesSpec",
    "HyperbandSpec",
    "ManualSpec",
    "OwnSpec",
    "PashaSpec",
    "PatienceSpec",
    "Pb2Spec",
    "PbtSpec",
    "PercentileStoppingSpec",
    "PhaseTreeSpec",
    "Policy",
    "PolicySpec",
    "Probe",
    "Promote",
    "ShaSpec",
    "Stop",
    "ThresholdStoppingSpec",
    "TrieAshaSpec",
    "Values",
    "Verdict",
    "asha",
    "auto",
    "dehb",
    "fork_asha",
    "from_json",
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

POLICIES: Mapping[str, Any] = {
    each.__name__: each
    for each in (
        full,
        sha,
        asha,
        hyperband,
        dehb,
        fork_asha,
        phase_tree,
        greedy_phases,
        pasha,
        pbt,
        pb2,
        manual,
        median_stopping,
        percentile_stopping,
        patience,
        threshold_stopping,
        trie_asha,
        own,
        auto,
    )
}


def from_json(json: Any) -> PolicySpec:
    """The policy of ``{"policy": name, ...}``.

    Raises:
        InvalidStudy: There is none of that name, or it has no such argument.
    """
    if not isinstance(json, Mapping) or "policy" not in json:
        raise InvalidStudy("policy", f"must be an object like {{'policy': 'full'}}, not {json!r}")
    name = json["policy"]
    if name not in tuple(POLICIES):
        raise InvalidStudy("policy", f"there is no policy {name!r}", suggestion(str(name), POLICIES))
    found: PolicySpec = POLICIES[name](**{key: value for key, value in json.items() if key != "policy"})
    return found
