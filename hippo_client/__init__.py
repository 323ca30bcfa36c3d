"""Hippo for users: ``import hippo_client as hippo``.

What is named here is imported when it is first used, so that importing the package costs next to nothing:
neither torch nor gRPC nor NumPy is loaded by it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hippo_client import endings, errors, plots, policies, samplers, schedules, simulation, space
    from hippo_client.checkpoint import Checkpoint
    from hippo_client.client import Client
    from hippo_client.handles.study import StudyHandle
    from hippo_client.handles.trial import Trial
    from hippo_client.local_run import run
    from hippo_client.stage_tree import StageTree
    from hippo_client.study import Study
    from hippo_core.own_policy import Policy
    from hippo_core.policies.policy import Extend, Stop
    from hippo_core.training import Context, Resources, Trainer

__all__ = [
    "Checkpoint",
    "Client",
    "Context",
    "Extend",
    "Policy",
    "Resources",
    "StageTree",
    "Stop",
    "Study",
    "StudyHandle",
    "Trainer",
    "Trial",
    "endings",
    "errors",
    "plots",
    "policies",
    "run",
    "samplers",
    "schedules",
    "simulation",
    "space",
]

_MODULES = ("endings", "errors", "plots", "policies", "samplers", "schedules", "simulation", "space")
_ATTRIBUTES = {
    "Checkpoint": "hippo_client.checkpoint",
    "Client": "hippo_client.client",
    "Context": "hippo_core.training",
    "Extend": "hippo_core.policies.policy",
    "Policy": "hippo_core.own_policy",
    "Resources": "hippo_core.training",
    "StageTree": "hippo_client.stage_tree",
    "Stop": "hippo_core.policies.policy",
    "Study": "hippo_client.study",
    "StudyHandle": "hippo_client.handles.study",
    "Trainer": "hippo_core.training",
    "Trial": "hippo_client.handles.trial",
    "run": "hippo_client.local_run",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"hippo_client.{name}")
    if name in _ATTRIBUTES:
        found = getattr(import_module(_ATTRIBUTES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
