"""The phase tree: each trial is trained to the end of one phase, and goes on from the end of another's.

The algorithm is the sampler's (``hippo_core.proposing.phase_tree``), which notes with each trial up to which step it is
trained, from whose end it goes on, and why. The policy asks for that, and for no more: a child's draws are its
parent's but for what bears later, so that it goes on from where the parent stands. A state where a phase ends is judged
by a probe: with a learning rate that is still high it looks worse than what can be made of it. Trials of the last phase
are the results. A trial without a note, whose point is a person's, goes through all phases, and is judged at the end of
each. Where no trial has come to max_steps in the end, the best of those at the furthest step goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.halving import PEERS
from hippo_core.policies.phase_levels import PhaseLevels, levels_of
from hippo_core.policies.policy import (
    Extend,
    Policy,
    PolicySpec,
    Probe,
    Values,
    Verdict,
    Worth,
    round_up,
    shown,
    worth,
)
from hippo_core.probes import Factors, check_names
from hippo_core.space import Space
from hippo_core.values import Kind

AS_THEY_ARE = "as they are"
"""Noted with a trial for which nothing is drawn: another's goes on."""

RATES = ("lr", "learning_rate")
"""What the learning rate is called."""

SHORT = 13
"""A probe is as long as a trial, divided by this, unless it is given."""

EARLIEST = 1 / 3
"""From which share of ``max_steps`` on states are probed: before, a raw value tells as much."""


@dataclass(slots=True)
class Grown:
    """What a policy knows of a trial."""

    max_steps: int = 0
    stops: tuple[int, ...] = ()  #: the steps at which it is judged, the last of which is its end
    notes: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    asked: int = 0
    ended: bool = False
    seen: dict[int, Worth | None] = field(default_factory=dict)  #: by step, of which less is better
    probes: dict[int, Worth | None] = field(
        default_factory=dict
    )  #: those asked for, by the step they part at
    children: list[int] = field(default_factory=list)


class PhaseTree(Policy):
    """Has each trial trained up to the step that its sampler noted with it, and its state there probed.

    Args:
        spec: Its arguments.
        maximize: Whether the larger value is the better one.
        evaluate_every: Steps are its multiples.
    """

    resting = "where its phase ends; others may go on from there"

    def __init__(self, spec: PhaseTreeSpec, maximize: tuple[bool, ...], evaluate_every: int) -> None:
        self._spec = spec
        self._maximize = maximize
        self._every = evaluate_every
        self._space: Space | None = None
        self._levels: PhaseLevels | None = None
        self._factors: Factors = ()
        self.trials: dict[int, Grown] = {}
        self._drawn: list[int] = []  # trials but for forks: notes name them by their place
        self._moved: dict[int, None] = {}  # those of which something may be wanted

    def searches(self, space: Space, seed: int) -> None:
        """Keeps it, to know where phases end."""
        self._space = space
        self._factors = self._spec.factors(space)

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns up to where it is trained, and from whom it goes on."""
        found = self.trials.setdefault(trial, Grown())
        if "level" in notes:
            found.notes, found.stops = notes, (notes["step"],)
            if "parent" in notes:
                found.parent = self._drawn[notes["parent"]]
                self.trials[found.parent].children.append(trial)

    def added(self, trial: int, max_steps: int) -> None:
        """Wants it at its first stop, or at the next one where it had ended."""
        found = self.trials.setdefault(trial, Grown())
        if not found.max_steps:
            self._drawn.append(trial)
        self._want(trial, found, max_steps)

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """Goes through all phases, as a point of a person's; nobody goes on from it."""
        found = self.trials[trial] = Grown()
        self._want(trial, found, max_steps)

    def _want(self, trial: int, found: Grown, max_steps: int) -> None:
        found.max_steps = max_steps
        if not found.stops:
            found.stops = self.levels(max_steps).ends
        if found.ended:
            found.asked, found.ended = max(found.seen, default=0), False
        self._moved[trial] = None

    def levels(self, max_steps: int) -> PhaseLevels:
        """The phases of the search, whose trials are all of one length."""
        if self._levels is None:
            assert self._space is not None, "told first of all"
            self._levels = levels_of(self._space, max_steps, self._every)
        return self._levels

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        found = self.trials[trial]
        found.asked, found.ended = step, False

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """Keeps it; the state may be probed, and the trial may have another stop."""
        self.trials[trial].seen[step] = None if values is None else worth(values, self._maximize)
        self._moved[trial] = None

    def probing(self, trial: int, at: int, to: int) -> None:
        """Waits for it."""
        self.trials[trial].probes.setdefault(at, None)

    def probed(self, trial: int, at: int, to: int, values: Values | None) -> None:
        """Keeps it, for words: the sampler is told by the engine."""
        self.trials[trial].probes[at] = None if values is None else worth(values, self._maximize)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True

    def decide(self) -> list[Verdict]:
        """Probes of what is there, and what is to be trained."""
        found: list[Verdict] = []
        for trial in sorted(self._moved):
            wanted = self._wanted(trial)
            if not wanted:
                del self._moved[trial]
            found += wanted
        return found

    def _wanted(self, trial: int) -> list[Verdict]:
        found = self.trials[trial]
        if found.ended:
            return []
        wanted: list[Verdict] = [
            self._probe(trial, at)
            for at in found.stops
            if found.seen.get(at) is not None
            and at not in found.probes
            and self._is_probed(at, found.max_steps)
        ]
        beyond = [step for step in found.stops if step > found.asked]
        if beyond and (not found.asked or found.seen.get(found.asked) is not None):
            wanted.append(Extend(trial, min(beyond[0], found.max_steps), self._reason(trial, beyond[0])))
        return wanted

    def _probe(self, trial: int, at: int) -> Probe:
        found = self.trials[trial]
        to = min(at + self._spec.probe_length(found.max_steps, self._every), found.max_steps)
        return Probe(trial, at, to, self._factors, f"to tell what can be made of its state at step {at}")

    def _is_probed(self, at: int, max_steps: int) -> bool:
        return self._spec.is_probed(at, max_steps, self._factors)

    def finish(self) -> list[Verdict]:
        """Where no trial has come to its end, the best at the furthest step goes on."""
        waiting: list[tuple[int, Worth, int]] = []
        for trial, found in self.trials.items():
            deepest = max(found.seen, default=0)
            values = found.seen.get(deepest)
            if values is None:
                continue
            if deepest >= found.max_steps:
                return []
            if not found.ended:
                waiting.append((-deepest, self._score(trial, deepest) or values, trial))
        if not waiting:
            return []
        deepest, _, trial = min(waiting)
        reason = f"{self._ranked(trial, -deepest)}; the best at the furthest step that any trial has come to"
        return [Extend(trial, self.trials[trial].max_steps, reason)]

    def standing(self, trial: int) -> str:
        """How it compares where its phase ends, and what became of those that went on from there."""
        found = self.trials[trial]
        deepest = max(found.seen, default=0)
        if found.seen.get(deepest) is None:
            return ""
        words = [self._ranked(trial, deepest)]
        if found.children:
            there = [
                (values, child)
                for child in found.children
                for values in [self._best_below(child)]
                if values is not None
            ]
            count = len(found.children)
            words.append(f"{count} {'trial goes' if count == 1 else 'trials go'} on from there")
            if there:
                values, child = min(there)
                words[-1] += f", the best result {self._shown(values)}, by trial {child}"
        return "; ".join(words)

    # In words

    def _reason(self, trial: int, step: int) -> str:
        """Where it goes on from, and why from there."""
        found = self.trials[trial]
        if "level" not in found.notes:
            return f"up to step {step}, where a phase ends" if step < found.max_steps else "to its end"
        drawn = f"its draws for this phase were made {found.notes['drawn']}"
        if found.parent is None:
            return f"trained to step {step}; {drawn}"
        at = max(self.trials[found.parent].seen, default=0)
        rank = f"rank {found.notes['rank']} of {found.notes['of']} at step {at}"
        if found.notes["drawn"] == AS_THEY_ARE:
            return f"goes on as trial {found.parent}, {rank}, one of the best third there"
        return (
            f"goes on from trial {found.parent}, {rank}, as number {found.notes['child']} that does; {drawn}"
        )

    def _ranked(self, trial: int, at: int) -> str:
        """Where a trial stands among those that were judged at a step; of equals the lower is better."""
        scores = {each: self._score(each, at) for each in self.trials}
        known = sorted((score, each) for each, score in scores.items() if score is not None)
        found = self.trials[trial]
        own = scores[trial]
        raw = found.seen[at]
        assert raw is not None
        if own is None:
            return f"{self._shown(raw)} at step {at}; its probe has not come"
        rank = 1 + known.index((own, trial))
        text = f"rank {rank} of {len(known)} at step {at}, {self._shown(own)}"
        if self._is_probed(at, found.max_steps):
            changes = ", ".join(f"{name} x {factor:g}" for name, factor in self._factors)
            return f"{text} by its probe at {changes}; {self._shown(raw)} itself"
        return text

    def _score(self, trial: int, at: int) -> Worth | None:
        """What a state counts as: less is better."""
        found = self.trials[trial]
        return found.probes.get(at) if self._is_probed(at, found.max_steps) else found.seen.get(at)

    def _best_below(self, trial: int) -> Worth | None:
        """The best result of a trial and all that go on from it."""
        found = self.trials[trial]
        below = [self._best_below(child) for child in found.children]
        return min(
            (each for each in [found.seen.get(found.max_steps), *below] if each is not None), default=None
        )

    def _shown(self, values: Worth) -> str:
        return shown(values, self._maximize)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTreeSpec(PolicySpec):
    """The phase tree.

    Attributes:
        probe_steps: How long a probe is; None: 1/13 of a trial; 0: there are none.
        probe_factor: By what the learning rate is multiplied in a probe.
        probe_hyperparameter: The learning rate's name; None: what is called lr or learning_rate.
    """

    constrained: ClassVar[bool] = True
    raisable: ClassVar[bool] = False
    proposes: ClassVar[bool] = True
    forks: ClassVar[bool] = True

    probe_steps: int | None
    probe_factor: float
    probe_hyperparameter: str | None

    @property
    def name(self) -> str:
        """``phase_tree``."""
        return "phase_tree"

    def factors(self, space: Space) -> Factors:
        """What probes multiply, by what; nothing: there are no probes."""
        if self.probe_steps == 0:
            return ()
        if self.probe_hyperparameter is not None:
            return ((self.probe_hyperparameter, self.probe_factor),)
        rates = [
            name
            for name in sorted(space.entries)
            if name.rpartition(".")[2] in RATES and space.kinds.get(name) in (Kind.FLOAT, Kind.INT)
        ]
        return tuple((name, self.probe_factor) for name in rates)

    def probe_length(self, max_steps: int, evaluate_every: int) -> int:
        """How long a probe is."""
        steps = max(1, max_steps // SHORT) if self.probe_steps is None else self.probe_steps
        return round_up(steps, evaluate_every)

    def is_probed(self, at: int, max_steps: int, factors: Factors) -> bool:
        """Whether states at a step are judged by probes."""
        return bool(factors) and EARLIEST * max_steps <= at < max_steps

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return PhaseTree(self, maximize, evaluate_every)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """All trials must have one limit."""
        if max_steps is None:
            raise InvalidStudy(
                "max_steps",
                "phase_tree compares all trials at the same steps, and needs a number",
                "Give max_steps=..., or use policies.asha().",
            )
        length = self.probe_length(max_steps, evaluate_every)
        if self.probe_steps and length != self.probe_steps:
            return [
                f"probe_steps={self.probe_steps} is rounded up to {length}, for evaluate_every={evaluate_every}"
            ]
        return []

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        """There must be a step on the way from which on something is drawn, and something to multiply."""
        if self.probe_hyperparameter is not None:
            check_names([self.probe_hyperparameter], space, "policies.phase_tree.probe_hyperparameter")
        if max_steps is not None and not levels_of(space, max_steps, evaluate_every).last:
            raise InvalidStudy(
                "policy",
                "phase_tree goes on from states where a phase of the trials ends, but all that is drawn bears on "
                f"their values from the first steps on, of {max_steps}",
                "Draw for later steps, too, as schedules.piecewise([space.loguniform(1e-3, 1), "
                "space.loguniform(1e-3, 1)], milestones=[...]) does; or use policies.asha().",
            )

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "phase_tree", ...}``."""
        return {
            "policy": self.name,
            "probe_steps": self.probe_steps,
            "probe_factor": self.probe_factor,
            "probe_hyperparameter": self.probe_hyperparameter,
        }


@worded(
    "policies.phase_tree",
    {
        **PEERS,
        "grace_period": "no argument for it: trials are judged where their phases end",
        "min_steps": "no argument for it: trials are judged where their phases end",
        "reduction_factor": "no argument for it: the better a state, the more trials go on from it",
        "eta": "no argument for it: the better a state, the more trials go on from it",
        "seed": "seed, which is the study's",
    },
)
def phase_tree(
    probe_steps: int | None = None, probe_factor: float = 0.3, probe_hyperparameter: str | None = None
) -> PhaseTreeSpec:
    """A tree of trials, each trained through one phase: policy and sampler in one, so that no sampler is given.

    For spaces whose trials have phases, each with draws of its own. Each trial goes on from where another one's phase
    ends; the better that state, the more do. Those of the last phase are *completed*, and the best of them is the
    study's best; the others end where their phase does, as *stopped*.

    Args:
        probe_steps: How long a state is trained on to tell how good it is; None: 1/13 of max_steps; 0: not at all.
        probe_factor: By what the learning rate is multiplied meanwhile.
        probe_hyperparameter: The name of the learning rate; None: what is called lr or learning_rate.
    """
    factor = arguments.number(probe_factor, "policies.phase_tree.probe_factor")
    if factor <= 0.0:
        raise InvalidStudy("policies.phase_tree.probe_factor", f"must be above 0, not {factor}")
    if probe_hyperparameter is not None and not isinstance(probe_hyperparameter, str):
        raise InvalidStudy(
            "policies.phase_tree.probe_hyperparameter", f"must be a name, not {probe_hyperparameter!r}"
        )
    return PhaseTreeSpec(
        probe_steps=None
        if probe_steps is None
        else arguments.integer(probe_steps, "policies.phase_tree.probe_steps", 0),
        probe_factor=factor,
        probe_hyperparameter=probe_hyperparameter,
    )
