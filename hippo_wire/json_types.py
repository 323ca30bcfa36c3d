"""The types of the JSON shapes: what commands print with ``--json``, what the SDK gives and ``/api`` answers.

The JSON Schemas of the commands' output are made of these types (`hippo_client.cli.output_schema`): a text in
``Annotated`` is a field's description there, an enumeration the words that it may hold.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from hippo_core.engine.states import NodeState, StudyState, TrialState, WorkerState

StudyWord = Annotated[str, StudyState]
TrialWord = Annotated[str, TrialState]
Metrics = Annotated[dict[str, float | None], "By name; null where it is not a finite number."]
Hyperparameters = Annotated[dict[str, Any], "By name: a value, or a schedule as an object."]
Moment = Annotated[str, "ISO 8601, in UTC."]


class Feasibility(TypedDict, total=False):
    """There where the study has constraints and the trial a value."""

    feasible: bool
    violation: Annotated[float | None, "Of all constraints; null where it is infinite."]


class Length(TypedDict, total=False):
    """There where the study has horizons."""

    horizon: Annotated[int, "How long the trial is."]


class Spread(TypedDict, total=False):
    """There where the study has repeats."""

    spread: Annotated[dict[str, float | None], "Of the metrics: standard deviations over the repeats."]


class BestTrial(Feasibility, Length, Spread):
    """The best trial, or one of the Pareto front, of a study."""

    trial: int
    step: int
    metrics: Metrics
    hyperparameters: Hyperparameters


class Trial(Feasibility, Length, Spread):
    """A trial of a study."""

    trial: int
    state: TrialWord
    step: Annotated[int, "Which it has reached."]
    metrics: Metrics
    hyperparameters: Hyperparameters
    reason: Annotated[str, "Why it is in its state; may be empty."]


class Evaluation(Spread):
    """The metrics of a state."""

    step: int
    metrics: Metrics


class PathPart(TypedDict):
    """A stretch of a trial's path through the search plan."""

    node: int
    start: int
    stop: int
    trials: Annotated[int, "How many trials of the study go through it."]
    not_reproducible: Annotated[bool, "A step that was trained again differed."]


class Fork(TypedDict):
    """Where a trial was forked from."""

    trial: int
    at: int
    instead_of: int | None


class Probe(Spread):
    """A short run on a trial's path, with values scaled, which its policy asked for."""

    probe: int
    at: int
    to: int
    factors: dict[str, float]
    reason: str
    state: TrialWord
    step: int
    metrics: Metrics
    failure: str


class Repeat(TypedDict):
    """A trial, trained with another seed."""

    repeat: int
    seed: int
    state: TrialWord
    step: int
    history: list[Evaluation]


class Repeats(TypedDict, total=False):
    """There where the study has repeats."""

    repeats: list[Repeat]


class TrialDetail(Trial, Repeats):
    """A trial with its history."""

    history: list[Evaluation]
    values: Annotated[list[dict[str, Any]], "In force at the steps 0..step-1."]
    path: Annotated[list[PathPart], "Root-most first."]
    fork: Fork | None
    probes: list[Probe]


class Savings(TypedDict):
    """What sharing saved."""

    steps_without_sharing: int
    steps_trained: int
    steps_retrained: int
    steps_in_probes: int
    merge_rate: Annotated[float | None, "Null where nothing was trained."]
    seconds_trained: float
    seconds_saved: float


class Change(TypedDict):
    """How a study was extended or edited."""

    at: Moment
    by: str
    differences: list[str]


class Chosen(TypedDict):
    """What policies.auto() chose by."""

    slots: int
    reason: str


class Search(TypedDict):
    """How a study searches."""

    policy: str | None
    sampler: str | None
    chosen: Chosen | None


class Horizons(TypedDict, total=False):
    """There where the study has horizons."""

    best_by_horizon: list[BestTrial]


class Study(Search, Horizons):
    """A study."""

    study: str
    state: StudyWord
    trials: Annotated[dict[TrialWord, int], "How many are in each state."]
    best: BestTrial | None
    best_trials: Annotated[list[BestTrial], "The Pareto front, or the best trial."]
    savings: Savings
    hint: Annotated[str | None, "Where next to nothing was shared: what to look at."]
    reason: Annotated[str, "Why it is in its state, or what it waits for; may be empty."]
    over_budget: str | None
    ending: Annotated[str | None, "The one that ended it."]
    endings: Annotated[list[str], "How far each has come, in words."]
    changes: list[Change]


class NodeEnd(TypedDict):
    """Trials that end in a node."""

    step: int
    state: TrialWord
    count: int


class Node(TypedDict):
    """A node of a study's stage tree."""

    node: int
    parent: int | None
    start: int
    stop: int
    trained: Annotated[int, "Up to which step."]
    values: dict[str, Any]
    trials: Annotated[list[int], "That go through it."]
    ending: Annotated[list[int], "Trials that end in it."]
    probes: list[int]
    metrics: Annotated[dict[str, float | None], "At the last evaluation in it."]
    checkpoints: Annotated[list[int], "At which steps."]
    ends: list[NodeEnd]
    state: Annotated[str, NodeState]
    reason: str
    seconds: float
    steps_saved: int
    critical: Annotated[bool, "On the critical path."]
    not_reproducible: bool


class Slot(TypedDict):
    """A slot of a worker."""

    index: int
    device: str
    model: str
    study: Annotated[str | None, "Which it trains for; null: it is idle, or of another project."]
    user: str | None
    step: int
    probe_of: int | None
    cordoned: Annotated[str | None, "Why it is granted nothing more."]
    fence: Annotated[int | None, "Of its lease; null: it has none."]


class Worker(TypedDict):
    """A worker."""

    worker: str
    host: str
    state: Annotated[str, WorkerState]
    slots: list[Slot]
    environment: dict[str, Any]
    labels: dict[str, str]
    blocked: Annotated[str | None, "What keeps it from saving."]


class Token(TypedDict):
    """A token, without its secret."""

    token: str
    role: str
    project: str
    created_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None
    uses_left: int | None


class AuditedCall(TypedDict):
    """A call in the audit log."""

    id: int
    at: Moment
    token: str
    role: str
    project: str
    peer: str
    method: str
    subject: str
    request_id: str
    digest: str
    result: str


class Account(TypedDict):
    """A project, or a user of one: what it may have, and has. A limit that is null is none."""

    project: str
    user: Annotated[str | None, "Null: the project itself."]
    weight: float
    max_studies: int | None
    max_open_trials: int | None
    max_slots: int | None
    max_slot_hours: float | None
    max_priority: int | None
    max_checkpoint_bytes: int | None
    slots: int
    studies: int
    open_trials: int
    slot_hours: float
    gpu_hours: float
    checkpoint_bytes: Annotated[int | None, "Null for a user: those of a project share them."]
    waits: Annotated[str, "What its work waits for; may be empty."]


class KeptCheckpoint(TypedDict):
    """A checkpoint that is kept."""

    node: int
    step: int
    fence: int
    bytes: int
    need: Annotated[str, "The reason's kind, in a word."]
    reason: str
    steps: Annotated[int, "To train again if it were not there."]
    seconds: Annotated[float, "That takes."]
    trials: list[int]
    trial_count: int
