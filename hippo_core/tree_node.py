"""What people see of a node of a study's stage tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine.states import NodeState
from hippo_core.plan import Metrics


@dataclass(frozen=True, slots=True)
class TrialEnds:
    """How many trials in some state end in a node, or rest there, at a step."""

    step: int
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Folded:
    """What hangs on a node and is not drawn."""

    nodes: int
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """A node of the search plan, as far as a study's trials need it.

    Attributes:
        node: Its number.
        parent: Its parent's number; None at a root.
        start: Its first step.
        stop: One past the last step that is asked of it.
        trained: Trained so far, as a state's step.
        values: The values at its first step, by name.
        trials: The study's trials that go through it.
        ending: Those that end in it.
        ends: How many of those end where, in which state; by step.
        probes: The trials whose probes go through it, where they have parted from them.
        metrics: Of its last evaluated state.
        checkpoints: States with a checkpoint.
        state: trained, running, granted (a slot comes to it), ready (it may be granted) or waiting.
        reason: What it waits for, or is being tried again after, in words.
        seconds: Slot seconds of all its training.
        steps_saved: What the study's trials came to in it, less what was trained for that.
        critical: Whether the longest way to the end of the study's open trials leads through it.
        not_reproducible: A retrained step of it gave other metrics.
    """

    node: int
    parent: int | None
    start: int
    stop: int
    trained: int
    values: Mapping[str, Any]
    trials: tuple[int, ...]
    ending: tuple[int, ...] = ()
    ends: tuple[TrialEnds, ...] = ()
    probes: tuple[int, ...] = ()
    metrics: Metrics = field(default_factory=dict)
    checkpoints: tuple[int, ...] = ()
    state: NodeState = NodeState.WAITING
    reason: str = ""
    seconds: float = 0.0
    steps_saved: int = 0
    critical: bool = False
    not_reproducible: bool = False
