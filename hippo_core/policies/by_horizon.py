"""Where a study has horizons: trials are compared with those of their own length only.

For each horizon there is a policy of the study's kind, which knows the trials of that horizon and no others. Up to
where the shortest of a point's trials begins to decay they are one and the same, so policies with the same rungs there
come to the same, and what they ask for is trained once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_core.policies.policy import Policy, Stop, Values, Verdict
from hippo_core.space import Space


class ByHorizon(Policy):
    """Policies side by side.

    Args:
        policies: By horizon, as the last step of its trials.
    """

    def __init__(self, policies: Mapping[int, Policy]) -> None:
        self._policies = policies
        self._of: dict[int, Policy] = {}  # by trial
        self._notes: dict[int, Mapping[str, Any]] = {}  # of trials that are still to be added
        one = next(iter(policies.values()))
        self.watches = one.watches
        self.hurries = one.hurries
        self.resting = one.resting
        self.patient = one.patient

    def searches(self, space: Space, seed: int) -> None:
        """Tells all."""
        for each in self._policies.values():
            each.searches(space, seed)

    def compares(self, metrics: tuple[str, ...]) -> None:
        """Tells all."""
        for each in self._policies.values():
            each.compares(metrics)

    def noted(self, trial: int, notes: Mapping[str, Any]) -> None:
        """Tells the trial's policy, once its horizon is known."""
        self._notes[trial] = notes

    def added(self, trial: int, max_steps: int) -> None:
        """The trial's horizon is how far it may be trained when it is new."""
        if trial not in self._of:
            self._begin(trial, self._policies[max_steps])
        self._of[trial].added(trial, max_steps)

    def forked(self, trial: int, max_steps: int, parent: int, at: int, instead_of: int | None) -> None:
        """A fork is compared with the trials of its parent's horizon."""
        self._begin(trial, self._of[parent])
        self._of[trial].forked(trial, max_steps, parent, at, instead_of)

    def _begin(self, trial: int, policy: Policy) -> None:
        found = self._of.setdefault(trial, policy)
        notes = self._notes.pop(trial, None)
        if notes is not None:
            found.noted(trial, notes)

    def requested(self, trial: int, step: int) -> None:
        """Tells the trial's policy."""
        self._of[trial].requested(trial, step)

    def reported(self, trial: int, step: int, values: Values | None) -> None:
        """Tells the trial's policy."""
        self._of[trial].reported(trial, step, values)

    def judge(self, trial: int) -> Stop | None:
        """As the trial's policy says."""
        return self._of[trial].judge(trial)

    def observed(self, trial: int, step: int, values: Values | None, model: int) -> None:
        """Tells the trial's policy."""
        self._of[trial].observed(trial, step, values, model)

    def probing(self, trial: int, at: int, to: int) -> None:
        """Tells the trial's policy."""
        self._of[trial].probing(trial, at, to)

    def probed(self, trial: int, at: int, to: int, values: Values | None) -> None:
        """Tells the trial's policy."""
        self._of[trial].probed(trial, at, to, values)

    def ended(self, trial: int) -> None:
        """Tells the trial's policy."""
        self._of[trial].ended(trial)

    def stopped(self, trial: int) -> None:
        """Tells the trial's policy."""
        self._of[trial].stopped(trial)

    def decide(self) -> list[Verdict]:
        """What all want, those of the shortest horizon first."""
        return [verdict for each in self._policies.values() for verdict in each.decide()]

    def finish(self) -> list[Verdict]:
        """What all want still."""
        return [verdict for each in self._policies.values() for verdict in each.finish()]

    def standing(self, trial: int) -> str:
        """As the trial's policy says."""
        return self._of[trial].standing(trial)
