"""Greedy phases: at each phase's beginning some values are tried for a few steps, and the best goes on.

After Y. Jin et al., "AutoLRS: Automatic Learning-Rate Schedule by Bayesian Optimization on the Fly" (ICLR 2021),
sections 3 and 4. Their stage is a phase, tau' is ``probe_steps``, k is
``candidates``. The algorithm is the sampler's (``hippo_core.proposing.greedy_phases``), which notes with each trial its
lineage, its phase, and the step at which it is judged. The policy has it trained up to there; of a lineage's last phase
the best goes to the end. Where it departs from the paper:

- A candidate is a trial, and goes on from the kept state of the one before: nothing is trained again.
- Whatever is drawn for a phase is searched, not the learning rate alone.
- Candidates are judged by what they came to, rather than by a forecast of their phase's end.
- There are as many lineages as keep all slots busy; of more than one the best end is the best trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.phases import Phase, phases
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
from hippo_core.samplers.random import Random
from hippo_core.space import Space

EXAMPLES = 64
"""So many random points are looked at for a later phase."""

PARTS = 3
"""Into how many parts a phase is divided, the first of which is its candidates' by default."""


@dataclass(slots=True)
class Candidate:
    """What the policy knows of a trial."""

    max_steps: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)  #: of its sampler; empty: a person's
    asked: int = 0
    ended: bool = False
    seen: dict[int, Worth | None] = field(default_factory=dict)  #: by step; None: not finite

    @property
    def step(self) -> int:
        """Up to where it is trained to be judged."""
        return int(self.notes.get("step", self.max_steps))

    @property
    def value(self) -> Worth | None:
        """What it came to there."""
        return self.seen.get(self.step)

    @property
    def is_known(self) -> bool:
        """Whether nothing more is to come before it is judged."""
        return self.ended or self.step in self.seen


class GreedyPhases(Policy):
    """Has candidates trained up to where they are judged, and the best of each last phase to its end.

    Args:
        spec: Its arguments.
        maximize: Whether the larger value is the better one.
    """

    resting = "judged, as far as it was to be"

    def __init__(self, spec: GreedyPhasesSpec, maximize: tuple[bool, ...]) -> None:
        self._spec = spec
        self._maximize = maximize
        self.trials: dict[int, Candidate] = {}
        self._drawn: list[int] = []  # trials but for forks: notes name them by their place
        self._rounds: dict[tuple[int, int], list[int]] = {}  # by lineage and phase
        self._wanted: dict[int, None] = {}

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns whose candidate a trial is."""
        if "lineage" in notes:
            self.trials.setdefault(trial, Candidate()).notes = notes

    def added(self, trial: int, max_steps: int) -> None:
        """Wants it judged, anew where it had ended; a person's point goes to its end."""
        found = self.trials.setdefault(trial, Candidate())
        if not found.max_steps:
            self._drawn.append(trial)
            if found.notes:
                self._rounds.setdefault(_round(found), []).append(trial)
        self._want(trial, max_steps)

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """A person's fork goes to its end."""
        self.trials[trial] = Candidate()
        self._want(trial, max_steps)

    def _want(self, trial: int, max_steps: int) -> None:
        found = self.trials[trial]
        found.max_steps = max_steps
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
        """Keeps it."""
        self.trials[trial].seen[step] = None if values is None else worth(values, self._maximize)

    def ended(self, trial: int) -> None:
        """Wants nothing of it any more."""
        self.trials[trial].ended = True
        self._wanted.pop(trial, None)

    def decide(self) -> list[Verdict]:
        """Whom to judge, in the order of their coming; then who goes to the end."""
        found: list[Verdict] = [
            Extend(trial, self.trials[trial].step, self._reason(trial)) for trial in self._wanted
        ]
        for members in self._rounds.values():
            best = self._winner(members)
            if best is not None and self.trials[best].notes["last"] and not self.trials[best].ended:
                known = self.trials[best]
                if known.asked < known.max_steps:
                    found.append(Extend(best, known.max_steps, f"{self._ranked(best)}; it goes to the end"))
        return found

    def _winner(self, members: list[int]) -> int | None:
        """The best of a round in which all candidates are known; of equals the first."""
        if len(members) < self._spec.candidates or not all(self.trials[each].is_known for each in members):
            return None
        values = [(value, each) for each in members if (value := self.trials[each].value) is not None]
        return min(values)[1] if values else None

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
        trial = min(waiting)[2]
        reason = "the best at the furthest step that any trial has come to"
        return [Extend(trial, self.trials[trial].max_steps, reason)]

    def standing(self, trial: int) -> str:
        """How it compares with the other candidates."""
        found = self.trials[trial]
        return self._ranked(trial) if found.notes and found.step in found.seen else ""

    # In words

    def _reason(self, trial: int) -> str:
        notes = self.trials[trial].notes
        if not notes:
            return "to its end"
        members = self._rounds[_round(self.trials[trial])]
        place = f"candidate {members.index(trial) + 1} of {self._spec.candidates}"
        text = (
            f"{place} for phase {notes['phase']}, from step {notes['start']}, of lineage {notes['lineage']}"
        )
        base = notes["base"]
        return text if base is None else f"{text}, on the way of trial {self._drawn[base]}"

    def _ranked(self, trial: int) -> str:
        found = self.trials[trial]
        members = [
            each for each in self._rounds[_round(found)] if self.trials[each].step in self.trials[each].seen
        ]

        def rank(each: int) -> tuple[bool, Worth, int]:
            value = self.trials[each].value
            return value is None, value or (), each

        place = sorted(members, key=rank).index(trial) + 1
        text = (
            f"rank {place} of {len(members)} at step {found.step} "
            f"in phase {found.notes['phase']} of lineage {found.notes['lineage']}"
        )
        return text if found.value is None else f"{text}, {shown(found.value, self._maximize)}"


def _round(found: Candidate) -> tuple[int, int]:
    return found.notes["lineage"], found.notes["phase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyPhasesSpec(PolicySpec):
    """Greedy phases.

    Attributes:
        candidates: How many values are tried for each phase.
        probe_steps: For how many steps; None: for a third of the phase.
    """

    raisable: ClassVar[bool] = False
    proposes: ClassVar[bool] = True
    forks: ClassVar[bool] = True

    candidates: int
    probe_steps: int | None = None

    @property
    def name(self) -> str:
        """``greedy_phases``."""
        return "greedy_phases"

    def judged_at(self, phases: tuple[Phase, ...], number: int, max_steps: int, evaluate_every: int) -> int:
        """The step at which candidates for a phase are judged: an evaluated one, within the phase."""
        start = phases[number].start
        end = phases[number + 1].start if number + 1 < len(phases) else max_steps
        steps = self.probe_steps or -(-(end - start) // PARTS)
        return min(round_up(start + steps, evaluate_every), round_up(end, evaluate_every))

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return GreedyPhases(self, maximize)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        """All trials must have one limit."""
        if max_steps is None:
            raise InvalidStudy(
                "max_steps",
                "greedy_phases compares all candidates at the same steps, and needs a number",
                "Give max_steps=..., or use policies.asha().",
            )
        return []

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        """Something must be drawn for a later phase."""
        examples = (Random().point(space, 0, number) for number in range(EXAMPLES))
        if max_steps is None or any(
            len(phases(space, point, max_steps, evaluate_every)) > 1 for point in examples
        ):
            return
        raise InvalidStudy(
            "policy",
            "greedy_phases decides one phase after the other, and in this space all that is drawn bears on the first "
            f"steps, of {max_steps}, at evaluate_every={evaluate_every}",
            "Draw for later steps, too, as schedules.piecewise([space.loguniform(1e-3, 1), "
            "space.loguniform(1e-3, 1)], milestones=[...]) does; or use policies.asha().",
        )

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "greedy_phases", ...}``."""
        return {"policy": self.name, "candidates": self.candidates, "probe_steps": self.probe_steps}


@worded(
    "policies.greedy_phases",
    {
        "k": "candidates",
        "num_candidates": "candidates",
        "lineages": "no argument for it: there are as many as keep all slots busy",
        "tau": "probe_steps",
        "search_steps": "probe_steps",
        "min_steps": "probe_steps",
        "grace_period": "probe_steps",
        "metric": "minimize or maximize, which are the study's",
        "mode": "minimize or maximize, which are the study's",
        "seed": "seed, which is the study's",
    },
)
def greedy_phases(candidates: int = 8, probe_steps: int | None = None) -> GreedyPhasesSpec:
    """A schedule that is found on the way: for each phase some values are tried, and the best goes on.

    Policy and sampler in one, so that no sampler is given beside it. Most trials end where they are judged, as
    *stopped*; of each lineage one is *completed*.

    Args:
        candidates: How many values are tried for each phase.
        probe_steps: For how many steps each is trained before they are compared; by default a third of the phase.
    """
    return GreedyPhasesSpec(
        candidates=arguments.integer(candidates, "policies.greedy_phases.candidates", 2),
        probe_steps=None
        if probe_steps is None
        else arguments.integer(probe_steps, "policies.greedy_phases.probe_steps", 1),
    )
