"""A user's own policy: a class that travels with the study, and is asked outside of the engine.

What the class is, is said by ``hippo_core.own_policy``. The engine runs no code of users: a stand-in takes the policy's
place, which decides nothing. The policy itself lives on a worker; what it has been told, and when it was asked, are
events (``hippo_core.engine.consultations``), and its verdicts are carried out as they come.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.policy import Policy, PolicySpec, Values, Verdict

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
ARGUMENTS = "Arguments are plain data: numbers, text, True, False, None, and lists and dicts of these."


class StandIn(Policy):
    """Decides nothing: the verdicts of the policy that it stands for come from outside."""

    def added(self, trial: int, max_steps: int) -> None:
        """The policy is told of it when it is asked."""

    def requested(self, trial: int, step: int) -> None:
        """The policy is told of it when it is asked."""

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """The policy is told of it when it is asked."""

    def ended(self, trial: int) -> None:
        """The policy is told of it when it is asked."""

    def decide(self) -> list[Verdict]:
        """Nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSpec(PolicySpec):
    """A class of the study's folder, and what it is made with.

    Attributes:
        reference: ``module:Class``.
        arguments: What its ``setup`` is called with: plain data by name.
        code: What stands for the code of its module: the digest of its files, or a user's word. Empty: not known yet.
    """

    several_objectives: ClassVar[bool] = True
    constrained: ClassVar[bool] = True

    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""

    def __post_init__(self) -> None:
        """Checks the values."""
        if not isinstance(self.reference, str) or not REFERENCE.fullmatch(self.reference):
            raise InvalidStudy(
                "policy",
                f"{self.reference!r} names no class",
                "Write 'module:Class', for example 'my_policy:MyPolicy' for a file my_policy.py.",
            )
        if not isinstance(self.code, str) or "\0" in self.code:
            raise InvalidStudy("policy", f"code must be text, not {self.code!r}")
        object.__setattr__(self, "arguments", _plain(self.arguments))

    def __hash__(self) -> int:
        return hash((self.reference, self.code))

    @property
    def name(self) -> str:
        """The reference."""
        return self.reference

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """What stands for it in the engine."""
        return StandIn()

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """What it asks for is checked as it comes."""
        return []

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "own", ...}``."""
        return {
            "policy": "own",
            "reference": self.reference,
            "arguments": dict(self.arguments),
            "code": self.code,
        }


@worded("policies.own")
def own(reference: str, arguments: Mapping[str, Any], code: str = "") -> OwnSpec:
    """A user's own policy, as JSON has it; see ``hippo_client.policies.own`` for how people write it."""
    return OwnSpec(reference=reference, arguments=arguments, code=code)


def own_code(policy: PolicySpec) -> str:
    """What stands for the code of a user's own policy; empty where it is a built-in one."""
    return policy.code if isinstance(policy, OwnSpec) else ""


def _plain(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise InvalidStudy("policy", f"arguments must be a dict by name, not {arguments!r}", ARGUMENTS)
    try:
        text = _json.dumps(dict(arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidStudy("policy", f"its arguments cannot be written as JSON: {error}", ARGUMENTS) from None
    if "\\u0000" in text:
        raise InvalidStudy("policy", "text must not contain a NUL character", ARGUMENTS)
    plain: dict[str, Any] = _json.loads(text)
    return plain
