"""Trie ASHA: ASHA on the prefixes of a finite space; each trial is trained up to one step, which comes with its point.

The algorithm is the sampler's (``hippo_core.proposing.trie_asha``), which notes with each trial the step that it is to
come to, and of which trial's prefix it is the continuation. The policy asks for that, and for no more. A trial without
such a note, whose point is a person's, is trained up to the first rung. Where no trial has come to max_steps in the
end, the best of those at the furthest step goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.policies.halving import PEERS
from hippo_core.policies.ladder import check_ladder
from hippo_core.policies.policy import (
    Extend,
    Policy,
    PolicySpec,
    Values,
    Verdict,
    Worth,
    round_up,
    shown,
    worth,
)
from hippo_core.space import Space

MOST_POINTS = 100_000
"""Of a space with more the prefixes are not listed."""


@dataclass(slots=True)
class Reaching:
    """What a policy knows of a trial."""

    max_steps: int = 0
    step: int = 0  #: which it is to come to
    notes: Mapping[str, Any] = field(default_factory=dict)  #: of its sampler
    asked: int = 0
    ended: bool = False
    seen: dict[int, Worth | None] = field(default_factory=dict)  #: by step, of which less is better


class TrieAsha(Policy):
    """Has each trial trained up to the step that its sampler noted with it.

    Args:
        first: The step for trials that have no note.
        maximize: Whether the larger value is the better one.
    """

    resting = "trained as far as it was to be"

    def __init__(self, first: int, maximize: tuple[bool, ...]) -> None:
        self._first = first
        self._maximize = maximize
        self.trials: dict[int, Reaching] = {}
        self._drawn: list[int] = []  # trials but for forks: notes name them by their place
        self._wanted: dict[int, None] = {}
        self._heirs: dict[int, list[int]] = {}  # by trial: those that go on from its prefix

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns up to which step a trial is to be trained, and from whose prefix it goes on."""
        found = self.trials.setdefault(trial, Reaching())
        found.notes, found.step = notes, notes.get("step", 0)
        if "parent" in notes:
            self._heirs.setdefault(self._drawn[notes["parent"]], []).append(trial)

    def added(self, trial: int, max_steps: int) -> None:
        """Wants the trial's step, anew where it had ended."""
        if trial not in self.trials or not self.trials[trial].max_steps:
            self._drawn.append(trial)
        self._want(self.trials.setdefault(trial, Reaching()), trial, max_steps)

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """Wants the first rung of it, or its end where that is before, as of one without a note."""
        self._want(self.trials.setdefault(trial, Reaching()), trial, max_steps)

    def _want(self, found: Reaching, trial: int, max_steps: int) -> None:
        found.max_steps = max_steps
        found.step = min(found.step or self._first, max_steps)
        if found.ended:
            found.asked, found.ended = max(found.seen, default=0), False
        if found.asked < found.step:
            self._wanted[trial] = None

    def requested(self, trial: int, step: int) -> None:
        """Waits for it; a trial that had ended is being tried again."""
        found = self.trials[trial]
        found.asked, found.ended = step, False
        self._wanted.pop(trial, None)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """Keeps it, for the end and for reasons."""
        self.trials[trial].seen[step] = None if values is None else worth(values, self._maximize)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True
        self._wanted.pop(trial, None)

    def decide(self) -> list[Verdict]:
        """The steps that are wanted, in the order of the trials' coming."""
        return [Extend(trial, self.trials[trial].step, self._reason(trial)) for trial in self._wanted]

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
                waiting.append((-deepest, values, trial))
        if not waiting:
            return []
        _, _, trial = min(waiting)
        reason = f"{self._ranked(trial)}; the best at the furthest step that any trial has come to"
        return [Extend(trial, self.trials[trial].max_steps, reason)]

    def standing(self, trial: int) -> str:
        """How it compares at its step, and as which trials its prefix goes on."""
        found = self.trials[trial]
        if found.step not in found.seen:
            return f"trained up to step {found.step}"
        heirs = self._heirs.get(trial, [])
        if not heirs:
            return f"{self._ranked(trial)}; nothing goes on from it yet"
        words = "trial" if len(heirs) == 1 else "trials"
        return f"{self._ranked(trial)}; it goes on as {words} {', '.join(map(str, heirs))}"

    # In words

    def _reason(self, trial: int) -> str:
        found = self.trials[trial]
        where = f"up to step {found.step}"
        if "parent" not in found.notes:
            return f"a new prefix, {where}" if found.notes else f"a point of a user's, {where}"
        parent = self._drawn[found.notes["parent"]]
        if not found.notes["rank"]:
            return (
                f"{where}, below trial {parent}, which is still being trained: nothing better is known to do"
            )
        rank, known, promoted = (found.notes[name] for name in ("rank", "known", "open"))
        return (
            f"{where}, below trial {parent}: rank {rank} of the {known} prefixes known at its step, of which "
            f"{promoted} go on"
        )

    def _ranked(self, trial: int) -> str:
        """Where a trial stands among those that came to its furthest step; of equals the lower is better."""
        found = self.trials[trial]
        step = max(found.seen)
        there = [
            (values is None, values or (), each)
            for each, other in self.trials.items()
            if step in other.seen
            for values in [other.seen[step]]
        ]
        values = found.seen[step]
        rank = 1 + sum(each < (values is None, values or (), trial) for each in there)
        text = f"rank {rank} of {len(there)} trials at step {step}"
        return text if values is None else f"{text}, {shown(values, self._maximize)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrieAshaSpec(PolicySpec):
    """Trie ASHA.

    Attributes:
        min_steps: The first rung.
        reduction_factor: By how much longer, and by how many fewer, from rung to rung.
    """

    raisable: ClassVar[bool] = False
    constrained: ClassVar[bool] = True
    proposes: ClassVar[bool] = True

    min_steps: int
    reduction_factor: int

    @property
    def name(self) -> str:
        """``trie_asha``."""
        return "trie_asha"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return TrieAsha(round_up(self.min_steps, evaluate_every), maximize)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """All trials must have one limit, and a rung below it."""
        if max_steps is None:
            raise InvalidStudy(
                "max_steps",
                f"{self.name} compares all prefixes at the same steps, and needs a number",
                "Give max_steps=..., or use policies.asha().",
            )
        return check_ladder(self.name, self.min_steps, self.reduction_factor, None, max_steps, evaluate_every)

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        """The space must be finite, and small enough for its prefixes to be listed."""
        domain = space.unlistable()
        if domain is not None:
            raise InvalidStudy(
                "policy",
                f"{self.name} compares the prefixes of a finite space, but {domain.name!r} is continuous",
                f"List values for {domain.name!r} with space.choice([...]), or use policies.asha().",
            )
        if not space.has_at_most(MOST_POINTS):
            raise InvalidStudy(
                "policy",
                f"{self.name} lists the prefixes of a space of at most {MOST_POINTS} points, and there are more",
                "List fewer values, or use policies.asha().",
            )
        if next(islice(space.assignments(), 1), None) is None:
            raise InvalidStudy("space", "no point satisfies the constraints", "Loosen them.")

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "trie_asha", ...}``."""
        return {
            "policy": self.name,
            "min_steps": self.min_steps,
            "reduction_factor": self.reduction_factor,
        }


@worded(
    "policies.trie_asha",
    {
        **PEERS,
        "brackets": "no argument for it: there is one",
        "stopping": "no argument for it: a prefix may always be taken up later",
        "compare": "no argument for it: prefixes are compared",
        "seed": "seed, which is the study's",
    },
)
def trie_asha(min_steps: int = 1, reduction_factor: int = 3) -> TrieAshaSpec:
    """ASHA on the prefixes of a finite space: policy and sampler in one, so that no sampler is given beside it.

    What trials have in common is trained, compared and promoted once. Each trial is trained up to one rung; those that
    come to max_steps are *completed*, and the best of them is the study's best. No prefix is dropped: while there are
    trials and budget left, what was worse goes on later.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, and just before steps at which many
            points part; the last one is max_steps.
        reduction_factor: The best 1/reduction_factor of the prefixes at a rung go on.
    """
    return TrieAshaSpec(
        min_steps=arguments.integer(min_steps, "policies.trie_asha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.trie_asha.reduction_factor", 2),
    )
