"""What plan, simulate, check and verify print with ``--json``, which is worked out here and not by a server."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from hippo_core.engine.states import StudyState
from hippo_wire import json_types as types


class Counts(TypedDict):
    """What training with and without sharing takes."""

    trials: int
    steps_without_sharing: int
    steps_with_sharing: int
    merge_rate: float | None
    critical_path_steps: int
    nodes: int
    stages: int


class Phase(TypedDict):
    """A stretch of the trials, and what is drawn for it."""

    start: int
    latest_start: int
    names: list[str]


class PlannedStudy(Counts):
    """What sharing within a study will save."""

    study: str
    root_splits: Annotated[dict[str, int], "By name: values at step 0, where more than one."]
    phases: list[Phase]
    hints: list[str]


class Plan(TypedDict):
    """What sharing within and across studies will save."""

    studies: list[PlannedStudy]
    together: Counts


class SimulatedTrial(types.Feasibility):
    """How a trial went."""

    trial: int
    state: types.TrialWord
    reason: str
    step: int
    value: Annotated[float | None, "The first objective."]
    metrics: types.Metrics
    hyperparameters: types.Hyperparameters


class SimulatedStudy(TypedDict):
    """How a study went."""

    study: str
    state: Annotated[str, StudyState]
    reason: str
    trials: dict[types.TrialWord, int]
    steps_without_sharing: int
    best: SimulatedTrial | None
    best_trials: list[SimulatedTrial]
    best_by_horizon: dict[str, SimulatedTrial]
    leaderboard: Annotated[list[SimulatedTrial], "All trials, the best first."]


class SlotSeconds(TypedDict):
    """The slots' time, by what it went into."""

    training: float
    evaluation: float
    save: float
    load: float
    setup: float
    idle: float
    lost: float


class Simulated(TypedDict):
    """What a simulation came to."""

    slots: int
    makespan_seconds: float
    lower_bound_seconds: float
    ratio_to_bound: float | None
    path_bound_seconds: float
    slot_seconds: SlotSeconds
    steps_trained: int
    steps_retrained: int
    steps_in_probes: int
    steps_without_sharing: int
    merge_rate: float | None
    trials: int
    phases: int
    events: int
    studies: list[SimulatedStudy]


class MadeUp(TypedDict):
    """What went beyond the record."""

    trials: int
    steps: int


class Ratios(TypedDict):
    """What trial-based execution takes of what sharing takes."""

    makespan: float | None
    slot_seconds: float | None
    steps: float | None


class Simulation(Simulated):
    """A simulation, and beside it the same without sharing where --trial-based asks for it."""

    made_up: NotRequired[MadeUp]
    trial_based: NotRequired[Simulated]
    trial_based_over_hippo: NotRequired[Ratios]


class Problem(TypedDict):
    """What does not survive."""

    check: str
    step: int
    message: str
    remedy: str


class Checked(TypedDict):
    """Whether a trainer can be interrupted, resumed and shared."""

    passed: bool
    steps: int
    problems: list[Problem]


class Compared(TypedDict):
    """How much was compared."""

    metrics: int
    tensors: int


class Difference(TypedDict):
    """What differs, in words."""

    step: int
    name: str
    shared: Any
    alone: Any


class Verified(TypedDict):
    """Whether a trial, trained alone, is what it was when it was shared."""

    passed: bool
    steps: int
    compared: Compared
    differences: list[Difference]
    failure: Annotated[str, "Why it could not be trained; may be empty."]
