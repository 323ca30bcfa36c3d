"""What a policy is, and what it decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core.metric_constraints import violation
from hippo_core.probes import Factors
from hippo_core.space import Assignment, Space

Values = tuple[float, ...]
"""The objectives at a state, in the study's order, all finite; then the margin of each of its constraints."""

Worth = tuple[float, ...]
"""What is compared, less being better: by how much constraints are violated, then the objectives.

As tuples are: of one objective that is the constrained order. Of several, ``pareto.dominates`` tells who is better.
"""


@dataclass(frozen=True, slots=True)
class Extend:
    """Train a trial up to step ``to``, which is above all that was requested for it before."""

    trial: int
    to: int
    reason: str  #: in words and numbers


@dataclass(frozen=True, slots=True)
class Promote(Extend):
    """An ``Extend`` that is asked for only when a slot would take it: by then others may be preferred."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Train a trial no further, ever, whether it is being trained or rests."""

    trial: int
    reason: str  #: in words and numbers
    completes: bool = False  #: whether the trial is done where it stands, rather than given up


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork of a trial takes another's place: that one is trained no further.

    It goes as its parent up to a step, and has the values from there on that the policy's ``explore`` says.
    """

    trial: int  #: the parent
    at: int  #: a step that the parent has come to
    instead_of: int  #: the other one, which may have ended
    reason: str  #: in words and numbers


@dataclass(frozen=True, slots=True)
class Probe:
    """A short branch of a trial is trained, to tell how good its state is; the trial is as it was before.

    The values in force at step ``at`` - 1 are held from there on, but for those that are multiplied.
    """

    trial: int
    at: int  #: a step that the trial has come to, 1 or more
    to: int  #: up to where the branch is trained, beyond ``at``: a multiple of ``evaluate_every``
    factors: Factors  #: hyper-parameters, and by what their values are multiplied; an integer is rounded, to 1 at least
    reason: str  #: in words and numbers


Verdict = Extend | Stop | Fork | Probe


class Policy(ABC):
    """Decides how far each trial of one study is trained.

    Its state is the fold of ``noted``, ``added``, ``forked``, ``requested``, ``observed``, ``probing``, ``probed`` and
    ``ended``, in the order of the calls, and of the set of evaluations that it was told of: the same calls give the
    same verdicts, also after a restart. It sees neither nodes nor stages, and no clock. It is level-triggered:
    ``decide`` answers the same until the engine has carried the verdicts out and said so by ``requested``, ``forked``,
    ``probing``, ``ended`` or ``stopped``. Only ``judge`` is asked once, and what it says is kept by what the engine
    does at once.
    """

    watches: bool = False  #: whether it is told of every evaluation
    hurries: bool = True  #: whether what it decides on a trial depends on which others came before
    resting: str = "may be promoted later"  #: what becomes of a trial that it does not extend now
    patient: bool = False  #: whether users decide on trials that rest, and the study waits until all ended

    def searches(self, space: Space, seed: int) -> None:  # noqa: B027 - few draw
        """Told first of all: what is searched, and the study's seed, which decides whatever it draws."""

    def compares(self, metrics: tuple[str, ...]) -> None:  # noqa: B027 - few name them
        """Told before any trial: what the objectives are called, for reasons in words."""

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:  # noqa: B027 - few have a sampler of their own
        """What its sampler noted with a trial, which is added next; told only of trials with notes."""

    @abstractmethod
    def added(self, trial: int, max_steps: int) -> None:
        """A trial was created, may be trained further than before, or is to be tried again after it had ended."""

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """A trial was created as a fork of another; to most it is a trial like any other.

        Args:
            trial: The fork.
            max_steps: How far it may be trained.
            parent: As which trial it goes.
            at: Up to which step.
            instead_of: Whose place it takes, as the policy decided; None: a user made it.
        """
        self.added(trial, max_steps)

    @abstractmethod
    def requested(self, trial: int, step: int) -> None:
        """The engine asked for the trial's state at a step."""

    def reported(self, trial: int, step: int, values: Values | None) -> None:  # noqa: B027 - few look
        """A state on the way to what is requested was evaluated; told only to a policy that ``watches``.

        A trial's evaluations are told in order, from its first, also those that were known before it asked; all up
        to a step before that step is ``observed``, but none beyond the step of a ``Stop`` by ``judge``. One may be told
        again. Where a trial stands among the others in the order of the calls is not kept over a restart: what
        follows may depend only on which are known.

        Args:
            trial: The trial.
            step: The state's step.
            values: The objectives there; None: one is not finite.
        """

    def judge(self, trial: int) -> Stop | None:
        """Whether a trial on its way is to be stopped at the evaluation that was told last of it; changes nothing.

        Asked once for each evaluation, in the order of its steps, of a policy that ``watches``: when those of all
        trials that became known at that step together have been told, and before what was requested is ``observed``.
        A policy that is made anew is not asked again about what was judged before.
        """
        return None

    @abstractmethod
    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """What was requested is there.

        Args:
            trial: The trial.
            step: The requested step.
            values: The objectives there; None: one is not finite, there or before.
            model: Which model it is: trials that are one and the same at that step have the same number.
        """

    def probing(self, trial: int, at: int, to: int) -> None:  # noqa: B027 - few probe
        """The engine asked for a probe; once more where its study was stopped, and is taken up again.

        Args:
            trial: The trial.
            at: The step from which on the probe parts from it.
            to: Up to where the probe is trained.
        """

    def probed(self, trial: int, at: int, to: int, values: Values | None) -> None:  # noqa: B027 - few probe
        """A probe is there, or is not to come.

        Args:
            trial: The trial, which may have ended meanwhile.
            at: The step from which on the probe parts from it.
            to: Up to where the probe was to be trained.
            values: The objectives there; None: one is not finite, it failed, or was given up since a user stopped the
                trial or the study.
        """

    @abstractmethod
    def ended(self, trial: int) -> None:
        """The trial failed or diverged: nothing is decided on it any more."""

    def stopped(self, trial: int) -> None:  # noqa: B027 - few stop
        """The trial is at rest unless it is taken up again.

        A ``Stop`` of it was carried out, it has come to its end, or the study was stopped or is complete.
        """

    @abstractmethod
    def decide(self) -> list[Verdict]:
        """What is to be requested or stopped now."""

    def finish(self) -> list[Verdict]:
        """What is to be requested still when nothing is open any more; nothing: the study is complete."""
        return []

    def standing(self, trial: int) -> str:
        """Why a trial that rests was not extended, in words and numbers; empty where there is nothing to say."""
        return ""


class ExploringPolicy(Policy):
    """A policy that forks trials, and says which values the forks have."""

    @abstractmethod
    def explore(self, fork: Fork, assignments: Callable[[int], Assignment]) -> Assignment:
        """What a fork has instead of its parent's draws: for each domain of the parent's a value.

        Args:
            fork: As the policy decided it.
            assignments: From a trial's number: the draws in force at its end.
        """


class PolicySpec(ABC):
    """A policy as a study names it: a small value."""

    several_objectives: ClassVar[bool] = False  #: whether it can compare trials by more than one
    constrained: ClassVar[bool] = False  #: whether it compares trials by constraints on metrics, too
    raisable: ClassVar[bool] = True  #: whether the study's max_steps may be raised
    counts_trials: ClassVar[bool] = True  #: whether it decides by how many trials there will be in all
    proposes: ClassVar[bool] = False  #: whether it has points of its own, by the sampler of its name
    forks: ClassVar[bool] = False  #: whether those go on from others' states where a phase begins

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person calls it."""

    @abstractmethod
    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study.

        Args:
            maximize: For each objective, whether the larger value is the better one.
            evaluate_every: There are values only at its multiples.
            max_trials: How many trials there will be in all.
        """

    @abstractmethod
    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """Checks the policy against the study's limit.

        Args:
            max_steps: How far any trial may be trained; None: as its schedule says.
            evaluate_every: There are values only at its multiples.

        Returns:
            Warnings, for the person who submits.

        Raises:
            InvalidStudy: They do not fit.
        """

    def why_unconstrained(self) -> tuple[str, str]:
        """Why it cannot compare trials by constraints, where it cannot, and the remedy."""
        return (
            f"the policy {self.name} compares trials by the objective alone",
            "Use policies.asha(), policies.hyperband() or policies.full().",
        )

    def check_search(  # noqa: B027 - few care
        self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int
    ) -> None:
        """Checks the policy against what is searched, in how many trials, and how far they may be trained.

        Raises:
            InvalidStudy: They do not fit.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The policy as ``{"policy": name, ...}``."""


def worth(values: Values, maximize: tuple[bool, ...]) -> Worth:
    """What is compared, less being better.

    Args:
        values: The objectives, then the margins of constraints.
        maximize: For each objective, whether the larger value is the better one.
    """
    objectives = (-value if larger else value for value, larger in zip(values, maximize, strict=False))
    return (violation(values[len(maximize) :]), *objectives)


def improves(worth: Worth, best: Worth, min_change: float) -> bool:
    """Whether a worth, by one objective, violates constraints less; or as much, and is better by more than a change."""
    if worth[0] != best[0]:
        return worth[0] < best[0]
    return worth[1] < best[1] - min_change


def shown(worth: Worth, maximize: tuple[bool, ...], names: Sequence[str] = ()) -> str:
    """A worth as a person reads it: the objectives, several with their names, and what constraints are violated by."""
    words = [f"{-value if larger else value:.6g}" for value, larger in zip(worth[1:], maximize, strict=True)]
    if len(words) > 1 and names:
        words = [f"{name} {word}" for name, word in zip(names, words, strict=True)]
    text = words[0] if len(words) == 1 else f"({', '.join(words)})"
    return f"{text}, infeasible by {worth[0]:.3g}" if worth[0] else text


def round_up(step: int, every: int) -> int:
    """The first multiple of ``every`` that is not below ``step``."""
    return -(-step // every) * every
