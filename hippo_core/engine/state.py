"""The engine's state: what the events so far amount to, with the indexes that decisions need.

Only ``hippo_core.engine.fold`` changes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from typing import Any, NamedTuple

from hippo_core.allowance import Allowance
from hippo_core.drawn_stretches import is_remembered
from hippo_core.endings import Ending
from hippo_core.engine.events import Event, TrialCreated
from hippo_core.engine.known import Created
from hippo_core.engine.policy_calls import PolicyCall, PolicyHistory, Requested
from hippo_core.engine.states import RequestState, StudyState, TrialState, WorkerState
from hippo_core.lease import Lease, State
from hippo_core.phases import Phase
from hippo_core.plan import Node, Plan
from hippo_core.policies import Policy, Promote, Values
from hippo_core.probes import number_of as probe_number
from hippo_core.probes import probe_of
from hippo_core.repeats import first_of, number_of, repeat_of, trial_of
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, Space
from hippo_core.study import StudySpec
from hippo_core.tree import StageTree
from hippo_core.trial_schedules import horizon_of, hyperparameters_of

STORY_LENGTH = 64

NO_NOTES: Mapping[str, Any] = {}
"""One for all trials without any."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a request, as a sampler that learns sees it."""

    sequence: int
    trial: int  #: or a probe
    step: int  #: of the last evaluation
    state: RequestState
    reached: int
    values: Values | None  #: of the last evaluation; None: there is none, or it is not finite


@dataclass(frozen=True, slots=True)
class Answered:
    """A round of a user's own policy that it has answered: what it was told, and when it was asked."""

    mark: int  #: so many calls of the study's history
    max_trials: int
    finish: bool  #: whether nothing was open, and no trial to come


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point that a study waits for, and what its sampler may see."""

    trial: int
    sequence: int  #: of the last closed request
    pending: tuple[int, ...]  #: trials with open requests then
    max_steps: int | None  #: how far trials were to be trained then; None: as their schedules say
    failures: int = 0
    reason: str = ""  #: of the last failure


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a terminator was asked last, and what it said."""

    terminator: Ending  #: of whom it is: it is void where the study has another
    sequence: int  #: of the last closed request
    pending: tuple[int, ...]  #: trials with open requests then
    max_steps: int | None  #: how far trials were to be trained then; None: as their schedules say
    trials: int  #: how many had completed then
    failures: int  #: how often in a row it has failed
    waiting: bool = True  #: whether the answer is still to come
    ends: bool = False  #: whether the study is to end
    reason: str = ""


class Origin(NamedTuple):
    """How a trial came to be. Most trials of a study have the same."""

    spec: StudySpec  #: what its study was when it was created
    spaces: int  #: its study's count of edits of that then
    names: tuple[str, ...]  #: of what was drawn
    enqueued: bool  #: whether its point is a user's
    #: How long it is among its study's horizons; of a user's fork, its parent; 0: there are none.
    horizon: int
    notes: Mapping[str, Any] = NO_NOTES  #: of the sampler's
    fork: Mapping[str, Any] | None = None  #: as in ``TrialCreated``


@dataclass(slots=True, kw_only=True, eq=False)
class Trial:
    """One point of a study; or a repeat of one, or a probe of either."""

    number: int
    origin: Origin
    draws: tuple[Any, ...]  #: a value for each of the origin's names
    max_steps: int
    state: TrialState = TrialState.WAITING
    reason: str = ""
    target: int | None = None  #: the step of its open request
    by_user: bool = False  #: whether that request, or the last one, is a user's word
    asked: int = 0  #: the furthest step that its policy ever requested
    node: Node | None = None  #: where its latest request lies
    reached: int = 0  #: the furthest step of a closed request
    closed: int = (
        0  #: sequence of its last closed request, of the last of its repeats; of the first repeat alone
    )
    reached_node: Node | None = None
    value: float | None = None  #: the first objective at ``reached``
    led: int = 0  #: the furthest step that a request of its policy came to
    observed: int = 0  #: the furthest step that its policy observed
    stopped_by_user: bool = False
    wanted: int = 0  #: up to which step a user wants it trained; 0: no further than its policy
    parting: State | None = None  #: where it leaves the nodes that there are, or how far it may be trained
    phases: tuple[Phase, ...] | None = None  #: of however long a trial of its draws; looked for where needed
    partings: tuple[int, ...] | None = (
        None  #: where others of its space part from it; looked for where needed
    )
    told: int = 0  #: up to which step its evaluations were told to a policy that watches
    outcome: RequestState | None = None  #: of its last closed request
    _moved: tuple[Assignment | None] | None = None  #: where it lies; None: where it was drawn
    _sequence: Sequence | None = None  #: once it was asked for, where making it anew takes long

    @property
    def spec(self) -> StudySpec:
        """What its study was when it was created."""
        return self.origin.spec

    @property
    def spaces(self) -> int:
        """Its study's count of edits of what trials are drawn from, then."""
        return self.origin.spaces

    @property
    def notes(self) -> Mapping[str, Any]:
        """The sampler's."""
        return self.origin.notes

    @property
    def fork(self) -> Mapping[str, Any] | None:
        """As in ``TrialCreated``."""
        return self.origin.fork

    @property
    def enqueued(self) -> bool:
        """Whether its point is a user's."""
        return self.origin.enqueued

    @property
    def horizon(self) -> int:
        """How long it is among its study's horizons; of a user's fork, its parent; 0: there are none."""
        return self.origin.horizon

    @property
    def assignment(self) -> dict[str, Any]:
        """What was drawn, by name."""
        return dict(zip(self.origin.names, self.draws, strict=True))

    @property
    def point(self) -> Assignment | None:
        """Its assignment in its study's present space; None: it lies outside."""
        if self._moved is None:
            return None if self.fork is not None else self.assignment
        return self._moved[0]

    def move(self, point: Assignment | None) -> None:
        """Its study has another space, where it lies at a point; None: outside."""
        self._moved = None if point == self.assignment else (point,)

    @property
    def space(self) -> Space:
        """What it was drawn from."""
        return self.spec.space

    @property
    def sequence(self) -> Sequence:
        """Its schedules."""
        found = self._sequence
        if found is None and self.fork is not None:
            found = self._sequence = self.spec.sequence_of(self.fork["hyperparameters"], self.repeat)
        elif found is None:
            assignment = self.assignment
            found = self.spec.sequence(assignment, self.repeat)
            if not is_remembered(assignment):
                self._sequence = found
        return found

    @property
    def repeat(self) -> int:
        """Which repeat of its trial, or of its probe, it is; 0: the first."""
        return repeat_of(self.number)

    @property
    def probe(self) -> int:
        """Which probe of its trial it is; 0: it is none."""
        return probe_of(self.number)

    @property
    def is_itself(self) -> bool:
        """Whether it is a trial itself: no repeat, and no probe."""
        return self.number == trial_of(self.number)

    @property
    def limit(self) -> int:
        """How far it may be trained, by its study or by a user's word."""
        return max(self.max_steps, self.wanted)

    @property
    def leaf(self) -> Node | None:
        """The last node of what is known of its path."""
        if self.node is None or (self.target is not None and self.target < self.reached):
            return self.reached_node
        return self.node


@dataclass(slots=True, kw_only=True, eq=False)
class Study:
    """One search."""

    id: int
    project: str
    user: str
    name: str
    program_key: str
    spec: StudySpec
    policy: Policy
    state: StudyState = StudyState.RUNNING
    reason: str = ""
    former: list[StudySpec] = field(default_factory=list)  #: what it was, before each extension and edit
    spaces: int = 0  #: how often what its trials are drawn from was edited
    plan: int = 0
    bound: bool = False
    trials: dict[int, Trial] = field(default_factory=dict)
    origins: dict[tuple[int, tuple[str, ...], bool, int], Origin] = field(
        default_factory=dict
    )  #: each once: see ``Trial``
    repeats: dict[int, Trial] = field(default_factory=dict)  #: those above 0 of its trials, by their numbers
    probes: dict[int, Trial] = field(default_factory=dict)  #: of its trials, by their numbers
    points: dict[int, int] = field(default_factory=dict)  #: by horizon, how many of them count in max_trials
    beside: dict[int, int] = field(
        default_factory=dict
    )  #: by horizon, how many users have added beside max_trials
    asks: dict[str, int] = field(default_factory=dict)  #: by what was given out: the trial that answered it
    forks: int = 0  #: how many of them its policy has forked, beside max_trials too
    open: dict[int, None] = field(default_factory=dict)  #: trials, repeats and probes with an open request
    boundaries: dict[State, None] = field(default_factory=dict)  #: where forks may go on, to be kept
    touched: dict[int, None] = field(
        default_factory=dict
    )  #: trials whose request closed since the last decision
    history: PolicyHistory = field(
        default_factory=PolicyHistory
    )  #: what the policy was told, to tell it to another
    wishes: dict[int, None] = field(default_factory=dict)  #: trials that users want trained further
    untold: dict[int, None] = field(default_factory=dict)  #: trials with evaluations to tell the policy of
    outdated: bool = False  #: whether another policy is to be made from the history
    proposal: Proposal | None = None  #: the point that it waits for
    exhausted: int = 0  #: how many points its space has, where all are trials
    wants_points: bool = False  #: from outside
    closings: list[Closing] = field(default_factory=list)  #: by sequence
    judgement: Judgement | None = None  #: where it has a terminator
    ending: str = ""  #: which ending holds
    ending_reason: str = ""  #: in words and numbers
    completed: int = 0  #: how many of the trials that its sampler drew are completed
    short: str = ""  #: why the next request does not fit into its budget of steps; noted anew as it settles
    promotions: tuple[Promote, ...] = ()  #: which stand, and wait for a slot; noted anew as it settles
    ran_seconds: float = 0.0  #: how long it has been running, as far as it is counted
    news: int = 0  #: so many calls of the history, up to the last one that is more than a request's opening
    answers: list[Answered] = field(default_factory=list)  #: of its user's own policy, in order
    policy_failures: int = 0  #: how often that has failed since its last answer
    policy_failure: str = ""  #: why it failed last
    steps_trained: int = 0
    steps_retrained: int = 0
    seconds: float = 0.0
    billed: int = 0  #: microseconds of slots
    billed_gpus: int = 0  #: microseconds of GPUs

    def member(self, number: int) -> Trial:
        """The trial, the repeat of one, or the probe of that number."""
        found = self.trials.get(number)
        if found is not None:
            return found
        return (self.probes if probe_of(number) else self.repeats)[number]

    def members(self, number: int) -> list[Trial]:
        """A trial, or a probe, with all its repeats, given the number of one of them."""
        first = self.member(first_of(number))
        if not self.repeats:
            return [first]
        within = self.probes if first.probe else self.repeats
        numbers = (number_of(first.number, repeat) for repeat in range(1, self.spec.repeats))
        return [first, *(within[each] for each in numbers if each in within)]

    def made(self, event: TrialCreated | Created) -> Trial:
        """The trial, repeat or probe that an event creates."""
        fork = event.fork
        horizon = horizon_of(event.assignment) if fork is None else self.trials[fork["trial"]].horizon
        origin = self._origin(tuple(event.assignment), enqueued=event.enqueued, horizon=horizon)
        if event.notes or fork is not None:
            origin = origin._replace(notes=event.notes or NO_NOTES, fork=fork)
        draws = tuple(event.assignment.values())
        return Trial(number=event.trial, origin=origin, draws=draws, max_steps=event.max_steps)

    def _origin(self, names: tuple[str, ...], *, enqueued: bool, horizon: int) -> Origin:
        """That of trials without notes that are no forks, as the study is now."""
        key = self.changes, names, enqueued, horizon
        found = self.origins.get(key)
        if found is None:
            found = self.origins[key] = Origin(self.spec, self.spaces, names, enqueued, horizon)
        return found

    def all_members(self) -> Iterator[Trial]:
        """All trials, then all their repeats; no probes."""
        yield from self.trials.values()
        yield from self.repeats.values()

    def branches(self) -> Iterator[Trial]:
        """All that is trained: trials, then their repeats, then probes."""
        yield from self.all_members()
        yield from self.probes.values()

    def probes_of(self, trial: int) -> Iterator[Trial]:
        """A trial's probes in order, of each the first of its repeats."""
        numbers = map(partial(probe_number, trial), count(1))
        yield from map(self.probes.__getitem__, takewhile(self.probes.__contains__, numbers))

    def open_trials(self) -> tuple[int, ...]:
        """The trials with an open request, or a repeat that has one, by number; probes are no matter of theirs."""
        return tuple(sorted({trial_of(number) for number in self.open if not probe_of(number)}))

    def is_learned_from(self, trial: Trial) -> bool:
        """Whether samplers and endings look at a trial: where there are horizons, at those of the longest."""
        return not self.spec.horizons or trial.horizon == self.spec.lengths[-1]

    @property
    def changes(self) -> int:
        """How often it was extended or edited."""
        return len(self.former)

    @property
    def drawn(self) -> int:
        """How many points count in max_trials: trials, or families of one trial for each horizon."""
        return max(self.points.values(), default=0)

    @property
    def unproposed(self) -> int:
        """How many points are still to be proposed."""
        return self.room if self.spec.sampler.learns and not self.exhausted else 0

    @property
    def room(self) -> int:
        """How many points there may be beside those that there are."""
        return self.spec.max_trials - self.drawn

    def hyperparameters(self, trial: Trial) -> dict[str, Any]:
        """A trial's hyper-parameters as JSON: schedules as objects, constants plain."""
        if trial.fork is not None:
            return dict(trial.fork["hyperparameters"])
        return hyperparameters_of(trial.space, trial.assignment)


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """What a project, or a user of one, may use, and has been billed."""

    project: str
    user: str  #: empty: the project itself
    allowance: Allowance = field(default_factory=Allowance)
    billed: int = 0  #: microseconds of slots
    billed_gpus: int = 0  #: microseconds of GPUs
    passed: int = 0  #: how far its turns have moved on, in microseconds of a weight of 1


@dataclass(slots=True, kw_only=True, eq=False)
class PlanState:
    """A search plan with its stage tree."""

    id: int
    project: str
    program_key: str
    environment: str
    plan: Plan
    tree: StageTree
    studies: dict[int, None] = field(default_factory=dict)


MOST_AHEAD = 16  #: leases at most wait in a slot, whatever its worker asks for


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """A place that trains one path at a time, and may hold others that are to follow it.

    Attributes:
        queue: The leases that have yet to be trained, the one in training first.
        holds: The state that its runner keeps in memory.
        cordoned: Why it is granted nothing; empty: it is granted paths.
    """

    index: int
    device: str
    model: str
    cpus: int
    gpus: int
    queue: list[int] = field(default_factory=list)
    holds: State | None = None
    cordoned: str = ""
    cordoned_by_user: bool = False

    @property
    def fence(self) -> int | None:
        """The lease that trains in it."""
        return self.queue[0] if self.queue else None

    @property
    def idle(self) -> bool:
        """Whether it waits for a path."""
        return not self.queue and not self.cordoned


@dataclass(slots=True, kw_only=True, eq=False)
class Worker:
    """A host's daemon."""

    name: str
    incarnation: str
    host: str
    environment: Mapping[str, Any]
    labels: Mapping[str, str]
    slots: dict[int, Slot]
    state: WorkerState = WorkerState.LIVE
    reason: str = ""
    draining: bool = False  #: this life of it was asked to drain, whatever has happened since
    blocked: str = ""  #: what the storage says, which it cannot read; empty: it can


@dataclass(slots=True, eq=False)
class EngineState:
    """All that the engine knows, volatile deadlines apart."""

    studies: dict[int, Study] = field(default_factory=dict)
    names: dict[tuple[str, str], int] = field(default_factory=dict)  #: (project, name) to study
    plans: dict[int, PlanState] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)  #: live ones
    #: Slots that wait for a path, by worker and index.
    idle: set[tuple[str, int]] = field(default_factory=set)
    hindered: dict[int, None] = field(default_factory=dict)  #: leases whose saves the storage holds up
    orphans: dict[int, Lease] = field(default_factory=dict)  #: those whose worker is not heard of
    dropped: dict[tuple[int, int, int], int] = field(default_factory=dict)  #: (node, step, fence) to plan
    pins: dict[State, dict[int, None]] = field(default_factory=dict)  #: states that studies want kept
    active: dict[int, int] = field(default_factory=dict)  #: running studies and their priorities
    failing: dict[int, None] = field(default_factory=dict)  #: nodes with failures that count still
    cramped: dict[int, None] = field(default_factory=dict)  #: nodes whose next try is to be alone on its host
    owners: dict[int, str] = field(default_factory=dict)  #: the users of running studies
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)  #: by project and user
    foremost: dict[str, int] = field(
        default_factory=dict
    )  #: by project: how far the turns of its foremost user are; with an empty name, those of the foremost project
    checkpoint_bytes: dict[str, int] = field(default_factory=dict)  #: by project: of what is kept
    last_study: int = 0
    last_plan: int = 0
    last_node: int = 0
    last_fence: int = 0
    last_sequence: int = 0
    story: deque[Event] = field(default_factory=lambda: deque(maxlen=STORY_LENGTH))

    # What decisions have yet to look at; filled by the fold, emptied by the engine.
    touched_studies: dict[int, None] = field(default_factory=dict)
    touched_requests: dict[tuple[int, int], None] = field(
        default_factory=dict
    )  #: opened: perhaps trained already
    touched_plans: dict[int, None] = field(default_factory=dict)
    touched_nodes: dict[int, None] = field(default_factory=dict)  #: trained or evaluated
    begun: dict[int, None] = field(default_factory=dict)  #: leases whose turn in their slots has come

    def is_first(self, lease: Lease) -> bool:
        """Whether a lease is the one that trains in its slot, and does not wait for another to end there."""
        worker = self.workers.get(lease.worker)
        return (
            worker is not None
            and lease.slot in worker.slots
            and worker.slots[lease.slot].fence == lease.fence
        )

    @property
    def kept_bytes(self) -> int:
        """Bytes of all checkpoints that are kept."""
        return sum(self.checkpoint_bytes.values())

    def tree_of(self, node: Node) -> StageTree:
        """The stage tree that a node is planned in."""
        return self.plans[node.plan].tree

    def study_named(self, project: str, name: str) -> Study | None:
        """The study of that name."""
        number = self.names.get((project, name))
        return None if number is None else self.studies[number]

    def tell(self, study: Study, call: PolicyCall) -> None:
        """Tells a study's policy, and remembers it."""
        study.history.append(call)
        if not isinstance(call, Requested):
            study.news = len(study.history)
        call.tell(study.policy)
        self.touched_studies[study.id] = None
