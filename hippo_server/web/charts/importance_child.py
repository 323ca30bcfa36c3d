"""A process that reads a space and trials, and writes the importance of each parameter."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from hippo_core.domains import Horizon
from hippo_core.space import Space


def importances(question: dict[str, Any]) -> dict[str, float]:
    """By PED-ANOVA: what sets the best tenth apart (Watanabe et al., IJCAI 2023), as Optuna has it."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from hippo_server.proposals.history import distribution, to_optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    domains = {
        name: domain
        for name, domain in Space.from_json(question["space"]).domains.items()
        if not isinstance(domain, Horizon)
    }
    study = optuna.create_study(direction="maximize" if question["maximize"] else "minimize")
    for trial in question["trials"]:
        drawn = {name: value for name, value in trial["drawn"].items() if name in domains}
        study.add_trial(
            optuna.trial.create_trial(
                value=trial["value"],
                params={name: to_optuna(domains[name], value) for name, value in drawn.items()},
                distributions={name: distribution(domains[name]) for name in drawn},
            )
        )
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


if __name__ == "__main__":
    json.dump(importances(json.load(sys.stdin)), sys.stdout)
