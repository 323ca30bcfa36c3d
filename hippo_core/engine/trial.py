"""A trial as the engine knows it: where it comes from, how far it was asked for and came, and where its path lies.

Only ``hippo_core.engine.fold`` changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hippo_core.drawn_stretches import is_remembered
from hippo_core.engine.states import RequestState, TrialState
from hippo_core.lease import State
from hippo_core.phases import Phase
from hippo_core.plan import Node
from hippo_core.probes import probe_of
from hippo_core.repeats import repeat_of, trial_of
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, Space
from hippo_core.study import StudySpec

NO_NOTES: Mapping[str, Any] = {}
"""One for all trials without any."""


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
