"""A study of three learning rates as the server exports it, for simulations of what was trained."""

from __future__ import annotations

from typing import Any

from hippo_core import space
from tests.studies import grid

RATES = (0.1, 0.2, 0.3)


def document() -> dict[str, Any]:
    """The last one trained to step 2 only, a step in 2 s."""
    spec = grid({"lr": space.choice(list(RATES))}, name="recorded", max_steps=4)
    trials = [
        {
            "trial": number, "state": "completed", "reason": "", "step": steps, "max_steps": 4,
            "hyperparameters": {"lr": rate}, "assignment": {"lr": number}, "fork": None, "notes": {}, "by_user": False,
            "path": [[number, 0, steps]], "checkpoints": [], "probes": [],
            "history": [{"step": step, "metrics": {"accuracy": rate * step}} for step in range(1, steps + 1)],
        }
        for number, (rate, steps) in enumerate(zip(RATES, (4, 4, 2), strict=True))
    ]  # fmt: skip
    training = [
        {
            "fence": 1,
            "node": node,
            "start": 0,
            "stop": steps,
            "train_seconds": 2.0 * steps,
            "evaluate_seconds": 0.5 * steps,
        }
        for node, steps in enumerate((4, 4, 2))
    ]
    return {
        "hippo_study": 1, "name": "recorded", "state": "completed", "reason": "", "ending": "", "changes": 0,
        "spec": spec.to_json(),
        "environment": "", "created": "2026-01-02T03:04:05+00:00", "save_seconds": None, "start_seconds": None,
        "steps_trained": 0, "steps_without_sharing": 0,
        "trials": trials, "training": training, "leases": [], "creations": [],
        "arrivals": [],
    }  # fmt: skip
