"""A sampler's caller: asks for points one at a time, and lets their trials end at random, as an engine may."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.proposing import own_point
from hippo_core.study import StudySpec
from tests.unit.core.policy_calls import MARGINS


class Search:
    """A study's trials as its sampler sees them.

    Args:
        spec: The study; the points of its first trials are its initial ones.
        random: Decides what happens.
        distinct: How many values there are: few of them, so that there are ties.
    """

    def __init__(self, spec: StudySpec, random: Random, distinct: int = 5) -> None:
        self.spec = spec
        self.random = random
        self.distinct = distinct
        self.arrived = 0
        self.history: list[PastTrial] = []
        for point in spec.initial:
            self.add(dict(point), {})

    def worth(self, values: tuple[float, ...]) -> tuple[float, float]:
        """By how much constraints are violated, then the objective, less being better."""
        value = -values[0] if self.spec.objectives[0].maximize else values[0]
        return sum(margin for margin in values[1:] if margin > 0), value

    @property
    def task(self) -> ProposalTask:
        return ProposalTask(spec=self.spec, trial=len(self.history), history=tuple(self.history))

    @property
    def waiting(self) -> list[PastTrial]:
        return [past for past in self.history if past.state is TrialState.WAITING]

    def add(self, assignment: Any, notes: Any) -> None:
        self.history.append(
            PastTrial(
                trial=len(self.history),
                assignment=assignment,
                notes=notes,
                state=TrialState.WAITING,
                values={},
                reached=0,
                sequence=0,
            )
        )

    def propose(self) -> tuple[Any, Any]:
        """One more trial; returns its point and notes."""
        found = own_point(self.task)
        assert found is not None
        self.add(*found)
        return found

    def end(self, past: PastTrial, step: int, value: float | None = None, again: bool = False) -> None:
        """A trial comes to a step; or diverges before it, or fails.

        Args:
            past: The trial.
            step: The step that was asked for.
            value: What it comes to; None: as chance has it.
            again: Whether it goes on to further steps.
        """
        self.arrived += 1
        kind = self.random.random() if value is None else 1.0
        if kind < 0.08:
            changed = replace(past, state=TrialState.DIVERGED, reached=self.random.randrange(1, step + 1))
        elif kind < 0.16:
            changed = replace(past, state=TrialState.FAILED)
        else:
            value = float(self.random.randrange(self.distinct)) if value is None else value
            done = TrialState.COMPLETED if step == self.spec.max_steps else TrialState.STOPPED
            state = TrialState.WAITING if again else done
            margins = self.random.choices(MARGINS, k=len(self.spec.constraints))
            changed = replace(
                past, state=state, values={**past.values, step: (value, *margins)}, reached=step
            )
        self.history[past.trial] = replace(changed, sequence=self.arrived)

    def retry(self) -> None:
        """One that failed, if there is one, is under way again."""
        failed = [past for past in self.history if past.state is TrialState.FAILED]
        if failed:
            past = self.random.choice(failed)
            self.history[past.trial] = replace(past, state=TrialState.WAITING)
