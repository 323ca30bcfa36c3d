"""Policies: how far to train whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.policies.asha import AshaSpec, asha
from hippo_core.policies.full import FullSpec, full
from hippo_core.policies.policy import Decision, Extend, Policy, PolicySpec, Stop

__all__ = [
    "AshaSpec",
    "Decision",
    "Extend",
    "FullSpec",
    "Policy",
    "PolicySpec",
    "Stop",
    "asha",
    "from_json",
    "full",
]

POLICIES = {"full": full, "asha": asha}


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
    build: Any = POLICIES[name]
    found: PolicySpec = build(**{key: value for key, value in json.items() if key != "policy"})
    return found
