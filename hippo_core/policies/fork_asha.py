"""ASHA whose trials fork: a search that makes what it shares.

Of each point the algorithm (``hippo_core.proposing.fork_asha``) notes where it comes from. A *fork* goes as one of the
best trials up to where a later phase of its schedules begins, and has other draws from there on: up to there it is
trained already. Everything else is ASHA's (``asha``), with models compared instead of trials, but for one rule: a fork
is not compared at the rungs up to where it leaves its base, as its base has passed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hippo_core import arguments
from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.phases import phases
from hippo_core.policies.asha import Asha
from hippo_core.policies.halving import PEERS, HalvingSpec, Rules
from hippo_core.policies.ladder import rungs
from hippo_core.policies.policy import Extend, Policy, round_up
from hippo_core.samplers.random import Random
from hippo_core.space import Space

ENOUGH = 2
"""So many trials have come to their end before forks are made."""

EXAMPLES = 64
"""So many random points are looked at for a phase to fork at."""


class ForkAsha(Asha):
    """Promotes as ASHA does; forks begin at the first rung above the step at which they leave their base.

    Args:
        rules: How models are compared.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._notes: dict[int, Mapping[str, Any]] = {}
        self._drawn: list[int] = []  # trials but for users' forks: notes name them by their place

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Learns where a trial comes from."""
        self._notes[trial] = notes

    def added(self, trial: int, max_steps: int) -> None:
        """As ASHA; a fork's rungs are those above the step at which it leaves its base."""
        if trial not in self.climbers:
            self._drawn.append(trial)
        super().added(trial, max_steps)
        known = self.climbers[trial]
        known.ladder = tuple(step for step in known.ladder if step > self._leaves_at(trial))

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """A user's fork is a trial like any other, but none of those that were drawn."""
        super().added(trial, max_steps)

    def starts(self) -> list[Extend]:
        """As ASHA, with where the trial comes from."""
        return [
            Extend(each.trial, each.to, "; ".join(filter(None, [self._origin(each.trial), each.reason])))
            for each in super().starts()
        ]

    def _leaves_at(self, trial: int) -> int:
        """Up to which step a trial goes as its base."""
        notes = self._notes.get(trial, {})
        return int(notes["at"]) if notes.get("kind") == "fork" else 0

    def _origin(self, trial: int) -> str:
        """Where a trial comes from, in words and numbers."""
        notes = self._notes.get(trial)
        if notes is None:
            return ""
        if notes["kind"] == "random":
            return "a random point"
        if notes["kind"] == "drawn":
            return "the model's likeliest point"
        base = f"trial {self._drawn[notes['base']]}, rank {notes['rank']} of {notes['of']} at the end,"
        if notes["kind"] == "fork":
            return f"goes as {base} up to step {notes['at']}, with other draws for what follows"
        return f"a new beginning, with the draws of {base} for what follows step {notes['at']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkAshaSpec(HalvingSpec):
    """ASHA with forks.

    Attributes:
        fork_share: How many of the points are forks, once some trials have come to their end.
    """

    counts_trials: ClassVar[bool] = False
    several_objectives: ClassVar[bool] = False
    raisable: ClassVar[bool] = False
    proposes: ClassVar[bool] = True
    forks: ClassVar[bool] = True

    fork_share: float

    @property
    def name(self) -> str:
        """``fork_asha``."""
        return "fork_asha"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        """The policy at the beginning of a study."""
        return ForkAsha(self.rules(maximize, evaluate_every))

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        """There must be a phase to fork at."""
        examples = (Random().point(space, 0, number) for number in range(EXAMPLES))
        if max_steps is None or any(len(phases(space, point, max_steps)) > 1 for point in examples):
            return
        raise InvalidStudy(
            "policy",
            f"fork_asha forks trials at steps from which on other draws bear, and in this space all bear on the first "
            f"steps, of {max_steps}: there is nowhere to fork",
            "Use policy=policies.asha() with sampler=samplers.tpe(); or draw for later steps, too, as "
            "schedules.piecewise([space.loguniform(1e-3, 1), space.loguniform(1e-3, 1)], milestones=[...]) does.",
        )

    def trials_before_forks(self, max_steps: int, evaluate_every: int) -> int:
        """How many trials it takes until enough of them have come to their end, each rung promoting its share."""
        last = round_up(max_steps, evaluate_every)
        steps = rungs(self.min_steps, self.reduction_factor, last, evaluate_every)
        return int(ENOUGH * self.reduction_factor ** (len(steps) - 1))

    def to_json(self) -> dict[str, Any]:
        """``{"policy": "fork_asha", ...}``."""
        return {
            "policy": self.name,
            "min_steps": self.min_steps,
            "reduction_factor": self.reduction_factor,
            "fork_share": self.fork_share,
        }


@worded(
    "policies.fork_asha",
    {
        **PEERS,
        "seed": "seed, which is the study's",
        "compare": "no argument for it: models are compared",
        "brackets": "no argument for it: there is one",
        "fork": "fork_share",
        "fork_fraction": "fork_share",
    },
)
def fork_asha(min_steps: int = 1, reduction_factor: int = 3, fork_share: float = 0.5) -> ForkAshaSpec:
    """ASHA whose trials fork: policy and sampler in one, so that no sampler is given beside it.

    For spaces whose trials have phases: draws that bear on later steps only, as those of ``schedules.piecewise`` do.
    Half of the points go as one of the best trials up to such a step, and cost only what follows it.

    Args:
        min_steps: The first rung. Others are at min_steps * reduction_factor**k, the last one at max_steps.
        reduction_factor: The best 1/reduction_factor of a rung are promoted.
        fork_share: How many of the points are forks, from 0 to below 1, once some trials have come to their end.
    """
    share = arguments.number(fork_share, "policies.fork_asha.fork_share")
    if not 0.0 <= share < 1.0:
        raise InvalidStudy("policies.fork_asha.fork_share", f"must be from 0 to below 1, not {share}")
    return ForkAshaSpec(
        min_steps=arguments.integer(min_steps, "policies.fork_asha.min_steps", 1),
        reduction_factor=arguments.integer(reduction_factor, "policies.fork_asha.reduction_factor", 2),
        compare="models",
        fork_share=share,
    )
