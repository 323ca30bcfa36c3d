"""A small policy that probes: what the tests of probes run, where no built-in one is meant.

Every trial is trained up to a step, is probed there, and goes on to its end if its probe is in the better half of those
known. As ASHA it decides at once; or, where it ``waits``, when the probes of all trials are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from hippo_core import policies
from hippo_core.policies import Extend, Policy, PolicySpec, Probe, Values, Verdict
from hippo_core.policies.policy import worth
from hippo_core.probes import check_names, checked_factors
from hippo_core.space import Space


class Scouts(Policy):
    """Probes each trial at one step, and lets the better half of them go on."""

    def __init__(self, spec: ScoutSpec, maximize: tuple[bool, ...], max_trials: int) -> None:
        self.hurries = not spec.waits  # type: ignore[misc]
        self._spec = spec
        self._maximize = maximize
        self._max_trials = max_trials
        self.trials: dict[int, dict[str, Any]] = {}

    def added(self, trial: int, max_steps: int) -> None:
        known = self.trials.setdefault(trial, {"asked": 0, "seen": 0, "probe": None, "score": None})
        if known.pop("ended", False):
            known["asked"] = known["seen"]
        known["end"] = max_steps

    def requested(self, trial: int, step: int) -> None:
        self.trials[trial]["asked"] = max(self.trials[trial]["asked"], step)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        self.trials[trial]["seen"] = max(self.trials[trial]["seen"], step)

    def probing(self, trial: int, at: int, to: int) -> None:
        self.trials[trial].update(probe=(at, to), score=None)

    def probed(self, trial: int, at: int, to: int, values: Values | None) -> None:
        assert self.trials[trial]["probe"] == (at, to)
        score = float("inf") if values is None else worth(values, self._maximize)[1]
        self.trials[trial]["score"] = score

    def ended(self, trial: int) -> None:
        self.trials[trial]["ended"] = True

    def decide(self) -> list[Verdict]:
        at, found = self._spec.at, list[Verdict]()
        for number, trial in self.trials.items():
            if trial.get("ended"):
                continue
            if trial["asked"] < min(at, trial["end"]):
                found.append(Extend(number, min(at, trial["end"]), "to where it is probed"))
            elif trial["seen"] >= at and trial["probe"] is None:
                factors = dict(self._spec.factors)
                found.append(
                    Probe(number, at, at + self._spec.steps, tuple(factors.items()), "how good is it?")
                )
        return found + self._promotions()

    def _promotions(self) -> list[Verdict]:
        judged = {number: trial for number, trial in self.trials.items() if trial["score"] is not None}
        living = [number for number, trial in self.trials.items() if not trial.get("ended")]
        if self._spec.waits and (
            len(self.trials) < self._max_trials or any(each not in judged for each in living)
        ):
            return []
        best = sorted(judged, key=lambda number: (judged[number]["score"], number))
        chosen = best[: max(len(judged) // 2, self._spec.waits)]
        return [
            Extend(number, trial["end"], f"its probe has {trial['score']:.6g}")
            for number in chosen
            if not (trial := self.trials[number]).get("ended") and trial["asked"] < trial["end"]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoutSpec(PolicySpec):
    """Probes at one step."""

    at: int
    steps: int
    factors: tuple[tuple[str, float], ...]
    waits: bool

    @property
    def name(self) -> str:
        return "scouts"

    def build(self, maximize: tuple[bool, ...], evaluate_every: int, max_trials: int) -> Policy:
        return Scouts(self, maximize, max_trials)

    def check(self, max_steps: int | None, evaluate_every: int) -> list[str]:
        return []

    def check_search(self, space: Space, max_trials: int, max_steps: int | None, evaluate_every: int) -> None:
        check_names((name for name, _ in self.factors), space, "policies.scouts.factors")

    def to_json(self) -> dict[str, Any]:
        factors = dict(self.factors)
        return {
            "policy": "scouts",
            "at": self.at,
            "steps": self.steps,
            "factors": factors,
            "waits": self.waits,
        }


def scouts(
    at: int = 3, steps: int = 1, factors: dict[str, float] | None = None, waits: bool = False
) -> ScoutSpec:
    """Each trial is probed at step ``at``, for so many steps, with values multiplied by factors."""
    made = {"lr": 0.1} if factors is None else factors
    return ScoutSpec(
        at=at, steps=steps, factors=checked_factors(made, "policies.scouts.factors"), waits=waits
    )


@contextmanager
def known() -> Iterator[None]:
    """Lets studies name the policy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast(Any, policies.POLICIES), "scouts", scouts)
        yield
