"""A study as the engine knows it: its trials, what its policy, sampler and endings were told, and what it has used.

Only ``hippo_core.engine.fold`` changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from typing import Any

from hippo_core.endings import Ending
from hippo_core.engine.events import TrialCreated
from hippo_core.engine.known import Created
from hippo_core.engine.policy_calls import PolicyHistory
from hippo_core.engine.states import RequestState, StudyState
from hippo_core.engine.trial import NO_NOTES, Origin, Trial
from hippo_core.lease import State
from hippo_core.policies import Policy, Promote, Values
from hippo_core.probes import number_of as probe_number
from hippo_core.probes import probe_of
from hippo_core.repeats import first_of, number_of, trial_of
from hippo_core.study import StudySpec
from hippo_core.trial_schedules import horizon_of, hyperparameters_of


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
    _known: tuple[StudySpec, int] | None = None  #: how many points are known beforehand, of the specification

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
    def uncreated(self) -> int:
        """How many points that are known beforehand are still to become trials.

        Those of an edited study, that are looked for among what is no trial yet, and those before the first that a
        sampler learns from, have all become so at once.
        """
        if self.spec.sampler.learns or self.spec.earlier or self.room <= 0:
            return 0
        if self._known is None or self._known[0] is not self.spec:
            self._known = self.spec, self.spec.known_trials
        return max(0, self._known[1] - self.drawn)

    @property
    def coming(self) -> int:
        """How many trials are still to be created for these; repeats are not counted."""
        return self.uncreated * max(1, len(self.spec.horizons))

    @property
    def to_come(self) -> int:
        """How many points are still to become trials, be they known or to be proposed."""
        return self.unproposed if self.spec.sampler.learns else self.uncreated

    @property
    def room(self) -> int:
        """How many points there may be beside those that there are."""
        return self.spec.max_trials - self.drawn

    def hyperparameters(self, trial: Trial) -> dict[str, Any]:
        """A trial's hyper-parameters as JSON: schedules as objects, constants plain."""
        if trial.fork is not None:
            return dict(trial.fork["hyperparameters"])
        return hyperparameters_of(trial.space, trial.assignment)
