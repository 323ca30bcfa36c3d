"""Naming one's own policy in a study."""

from __future__ import annotations

from typing import Any

from hippo_client.class_kinds import POLICY
from hippo_client.class_reference import refer
from hippo_client.origin import find_origin
from hippo_core.policies import OwnSpec


def own(policy: str | type, /, **arguments: Any) -> OwnSpec:
    """A policy of one's own: a class of the study's folder that derives from ``hippo.Policy``.

    It travels with the study and runs on a worker, in a process of its own, without a GPU.

    Args:
        policy: ``"module:Class"``, found beside the study file, or the class itself.
        arguments: What its ``setup`` is called with, by name: plain data.

    Raises:
        InvalidStudy: It is neither, or workers could not find it; or an argument is not plain data.
    """
    return OwnSpec(reference=refer(policy, find_origin(), POLICY), arguments=arguments)
