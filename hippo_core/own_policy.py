"""What a user's own policy is, and what it is given. It runs on a worker, in a process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hippo_core.policies.policy import Extend, Stop, Values, round_up

Decided = Extend | Stop
"""What a user's own policy can decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContext:
    """What a policy knows of its study from the beginning.

    Attributes:
        objectives: The metrics that are optimised, by name.
        maximize: For each of them, whether the larger value is the better one.
        evaluate_every: Trials are evaluated at its multiples, and can be extended to these only.
        constraints: What a state must keep to be feasible, as the study has it: ``"latency_ms <= 10"``.
        seed: The study's seed, with which Python's random generator, and NumPy's, were seeded.
    """

    objectives: tuple[str, ...]
    maximize: tuple[bool, ...]
    evaluate_every: int
    seed: int
    constraints: tuple[str, ...] = ()

    def round_up(self, step: float) -> int:
        """The first step of an evaluation that is not below ``step``, and not 0."""
        return round_up(max(1, -int(-step // 1)), self.evaluate_every)


@dataclass(slots=True, kw_only=True, eq=False)
class PolicyTrial:
    """A trial as a policy sees it.

    Attributes:
        number: Its number within the study.
        max_steps: How far it may be trained.
        asked: The furthest step that it was extended to; 0: it has yet to begin.
        step: The furthest step that it was extended to and has come to.
        values: By step, the objectives in the study's order, at all evaluations up to ``step``.
        violations: By step, by how much the study's constraints are violated; 0: it is feasible, or there are none.
        scores: By step, the first objective, of which more is better: one to be minimised is negated.
        ended: Whether it failed or diverged, or a user has taken it in hand: nothing is decided on it any more.
        stopped: Whether the policy has stopped it.
    """

    number: int
    max_steps: int
    asked: int = 0
    step: int = 0
    values: dict[int, Values] = field(default_factory=dict)
    violations: dict[int, float] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    ended: bool = False
    stopped: bool = False

    @property
    def done(self) -> bool:
        """Whether it has come to the furthest step that it may be trained to."""
        return self.step >= self.max_steps

    @property
    def rests(self) -> bool:
        """Whether it may be extended, and is not on its way: to be asked before each extension."""
        return not (self.ended or self.stopped) and self.asked <= self.step < self.max_steps


class Policy(ABC):
    """Decides how far each trial of one study is trained. Subclass it, and name the subclass in the study.

    It is asked when something has happened: trials were added, have come to where they were extended to, or have
    ended. What it answers must follow from what it was told, and from nothing else: after a restart another object is
    told the same, in the same order, and asked at the same moments.

    Attributes:
        context: What it knows of the study.
        trials: All trials so far, by number; kept current between the calls. To be read only.
        max_trials: How many trials the study will have in all.
    """

    context: PolicyContext
    trials: dict[int, PolicyTrial]
    max_trials: int

    def setup(self, *args: Any, **arguments: Any) -> None:
        """Called once, before all else, with the arguments that the study gives by name.

        One's own declares those that it takes: ``def setup(self, window=3)``.
        """
        if arguments:
            raise TypeError(f"{type(self).__name__} has no setup to take {', '.join(arguments)}")

    @abstractmethod
    def decide(self) -> Iterable[Decided]:
        """What is to be done now.

        Asked again until nothing follows: the trials are changed as if each verdict had been carried out, so that a
        trial that was extended does not rest any more.

        Returns:
            ``Extend(trial, to, reason)``: train it up to a step, a multiple of ``evaluate_every``, at most its
            ``max_steps``. ``Stop(trial, reason, completes=False)``: train it no further. What is so already, or
            concerns a trial that has ended, changes nothing.
        """

    def finish(self) -> Iterable[Decided]:
        """What is to be done still when no trial is on its way and none will be added; nothing: the study is over."""
        return ()
