"""Samplers: which sequences to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.samplers.auto import Auto, auto
from hippo_core.samplers.bohb import Bohb, bohb
from hippo_core.samplers.cma_es import CmaEs, cma_es
from hippo_core.samplers.dehb import Dehb, dehb
from hippo_core.samplers.fork_asha import ForkAsha, fork_asha
from hippo_core.samplers.gp import Gp, gp
from hippo_core.samplers.greedy_phases import GreedyPhases, greedy_phases
from hippo_core.samplers.grid import Grid, grid
from hippo_core.samplers.learning import Learning
from hippo_core.samplers.nsga2 import Nsga2, nsga2
from hippo_core.samplers.nsga3 import Nsga3, nsga3
from hippo_core.samplers.optuna import Optuna, optuna
from hippo_core.samplers.outside import Outside, outside
from hippo_core.samplers.phase_tree import PhaseTree, phase_tree
from hippo_core.samplers.qmc import Qmc, qmc
from hippo_core.samplers.random import Random, random
from hippo_core.samplers.sampler import Sampler
from hippo_core.samplers.tpe import Tpe, tpe
from hippo_core.samplers.trie_asha import TrieAsha, trie_asha

__all__ = [
    "Auto",
    "Bohb",
    "CmaEs",
    "Dehb",
    "ForkAsha",
    "Gp",
    "GreedyPhases",
    "Grid",
    "Learning",
    "Nsga2",
    "Nsga3",
    "Optuna",
    "Outside",
    "PhaseTree",
    "Qmc",
    "Random",
    "Sampler",
    "Tpe",
    "TrieAsha",
    "auto",
    "bohb",
    "cma_es",
    "dehb",
    "fork_asha",
    "from_json",
    "gp",
    "greedy_phases",
    "grid",
    "nsga2",
    "nsga3",
    "optuna",
    "outside",
    "phase_tree",
    "qmc",
    "random",
    "tpe",
    "trie_asha",
]

SAMPLERS = {
    "grid": grid,
    "random": random,
    "qmc": qmc,
    "tpe": tpe,
    "bohb": bohb,
    "dehb": dehb,
    "greedy_phases": greedy_phases,
    "auto": auto,
    "fork_asha": fork_asha,
    "phase_tree": phase_tree,
    "gp": gp,
    "cma_es": cma_es,
    "nsga2": nsga2,
    "nsga3": nsga3,
    "trie_asha": trie_asha,
    "outside": outside,
}


def from_json(json: Any) -> Sampler:
    """The sampler of ``{"sampler": name, ...}``.

    Raises:
        InvalidStudy: There is none of that name, or it has no such argument.
    """
    if not isinstance(json, Mapping) or "sampler" not in json:
        raise InvalidStudy("sampler", f"must be an object like {{'sampler': 'grid'}}, not {json!r}")
    word = json["sampler"]
    arguments = {str(key): value for key, value in json.items() if key != "sampler"}
    if word == Optuna.word:
        return _optuna_from_json(json)
    if word not in tuple(SAMPLERS):
        raise InvalidStudy(
            "sampler", f"there is no sampler {word!r}", suggestion(str(word), (*SAMPLERS, Optuna.word))
        )
    sampler: Sampler = SAMPLERS[word](**arguments)
    return sampler


def _optuna_from_json(json: Mapping[str, Any]) -> Optuna:
    arguments = json.get("arguments")
    if set(json) != {"sampler", "name", "arguments"} or not isinstance(arguments, Mapping):
        raise InvalidStudy("sampler", f"must have a name and arguments, not {dict(json)!r}")
    return optuna(json["name"], **{str(key): value for key, value in arguments.items()})
