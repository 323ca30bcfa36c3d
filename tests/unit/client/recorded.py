"""A study as the server exports it: three trials on two slots, of which two share their first two steps.

Trial 0 completed, trial 1 was stopped at step 3, trial 2 was forked from trial 0 by a user at step 3, later. Step s of
what trial n trains takes a second; node 1 was trained by slot 0, then node 2 by it and node 3 by slot 1.
"""

from __future__ import annotations

from typing import Any

from hippo_client import schedules, space
from hippo_core.objective import Objective
from hippo_core.simulation import Recording
from tests.studies import study

CREATED = "2026-01-02T03:04:05+00:00"
SPACE = {
    "lr": space.choice([schedules.piecewise([0.1, 0.01], [2]), schedules.piecewise([0.1, 0.02], [2])]),
    "width": space.integer(8, 64),
}
ACCURACY = Objective(metric="accuracy", maximize=True)
NOTHING_TRAINED: dict[str, Any] = {
    "save_seconds": None, "start_seconds": None, "steps_trained": 0, "steps_without_sharing": 0,
}  # fmt: skip


def document(**changes: Any) -> dict[str, Any]:
    """The document, with changes at its top."""
    spec = study(SPACE, objectives=(ACCURACY,), max_trials=2, max_steps=4, name="shared")
    width = {"width": 16}
    hyperparameters = [spec.hyperparameters({"lr": lr, **width}) for lr in (0, 1)]
    trials = [
        _trial(0, "completed", 4, hyperparameters[0], {"lr": 0, **width}, [[1, 0, 2], [2, 2, 4]]),
        _trial(1, "stopped", 3, hyperparameters[1], {"lr": 1, **width}, [[1, 0, 2], [3, 2, 3]]),
        {
            **_trial(2, "waiting", 3, {"lr": 0.5, **width}, None, [[1, 0, 2], [2, 2, 3]]),
            "fork": {"trial": 0, "at": 3},
            "by_user": True,
        },
    ]
    content = {
        "hippo_study": 1, "name": "shared", "state": "running", "reason": "", "ending": "", "changes": 0,
        "spec": spec.to_json(), "environment": "", "created": CREATED, "save_seconds": 0.5, "start_seconds": 0.25,
        "steps_trained": 5, "steps_without_sharing": 10,
        "trials": trials,
        "training": [_stretch(1, 1, 0, 2), _stretch(1, 2, 2, 4), _stretch(2, 3, 2, 3)],
        "leases": [_lease(1, 0, 10.0, 15.0), _lease(2, 1, 13.0, 15.0)],
        "creations": [[0, 0.0], [1, 0.0], [2, 20.0]],
        "arrivals": [_arrival(0, 4, 15.0), _arrival(1, 3, 15.0)],
    }  # fmt: skip
    return {**content, **changes}


def empty(**changes: Any) -> dict[str, Any]:
    """The same study before anything came of it."""
    nothing: dict[str, Any] = {key: [] for key in ("trials", "training", "leases", "creations", "arrivals")}
    return document(**{**nothing, **NOTHING_TRAINED, **changes})


def recording(content: dict[str, Any]) -> Recording:
    return Recording.from_json(content)


def _trial(
    number: int,
    state: str,
    step: int,
    hyperparameters: dict[str, Any],
    drawn: dict[str, Any] | None,
    path: list[list[int]],
) -> dict[str, Any]:
    return {
        "trial": number, "state": state, "reason": "", "step": step, "max_steps": 4,
        "hyperparameters": hyperparameters, "assignment": drawn, "fork": None, "notes": {}, "by_user": False,
        "history": [
            {"step": each, "metrics": {"accuracy": number + each / 10, "loss": None if each == 3 else 1.0}}
            for each in range(1, step + 1)
        ],
        "path": path, "checkpoints": [2, 4] if number == 0 else [2], "probes": [],
    }  # fmt: skip


def _stretch(fence: int, node: int, start: int, stop: int) -> dict[str, Any]:
    seconds = float(stop - start)
    return {
        "fence": fence, "node": node, "start": start, "stop": stop,
        "train_seconds": 0.75 * seconds, "evaluate_seconds": 0.25 * seconds,
    }  # fmt: skip


def _lease(fence: int, slot: int, granted: float, ended: float | None) -> dict[str, Any]:
    return {
        "fence": fence, "worker": "host", "slot": slot, "state": "completed",
        "granted": granted, "ended": ended,
    }  # fmt: skip


def _arrival(trial: int, step: int, seconds: float) -> dict[str, Any]:
    return {
        "trial": trial, "probe": 0, "step": step, "state": "reached", "reached": step, "by_user": False,
        "breath": trial, "seconds": seconds,
    }  # fmt: skip
