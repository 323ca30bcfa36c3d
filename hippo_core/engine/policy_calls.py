"""What policies are told, and its history, packed: most of it is that trials came, and that they wait for states."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from hippo_core.policies import Policy, Values


@dataclass(frozen=True, slots=True)
class Added:
    """A trial was created, or may be trained further."""

    trial: int
    max_steps: int

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.added(self.trial, self.max_steps)


@dataclass(frozen=True, slots=True)
class Forked:
    """A trial was created as a fork of another; ``instead_of`` whom, where the policy decided so."""

    trial: int
    max_steps: int
    parent: int
    at: int
    instead_of: int | None

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.forked(self.trial, self.max_steps, self.parent, self.at, self.instead_of)


@dataclass(frozen=True, slots=True)
class Requested:
    """A request was opened."""

    trial: int
    step: int

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.requested(self.trial, self.step)


@dataclass(frozen=True, slots=True)
class Observed:
    """A request was reached, or diverged; ``model`` is the node that owns the state which it came to."""

    trial: int
    step: int
    values: Values | None
    model: int
    since: int = 0  #: the furthest step of the trial that was observed before

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.observed(self.trial, self.step, self.values, self.model)


@dataclass(frozen=True, slots=True)
class Probing:
    """The request of a probe was opened."""

    trial: int
    at: int
    to: int

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.probing(self.trial, self.at, self.to)


@dataclass(frozen=True, slots=True)
class Probed:
    """The request of a probe came to its end; without values where it was not reached, or one is not finite."""

    trial: int
    at: int
    to: int
    values: Values | None

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.probed(self.trial, self.at, self.to, self.values)


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial failed, diverged, or was taken in hand by a user."""

    trial: int

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.ended(self.trial)


@dataclass(frozen=True, slots=True)
class Noted:
    """A sampler noted something with a trial."""

    trial: int
    notes: Mapping[str, Any]

    def tell(self, policy: Policy) -> None:
        """Tells a policy."""
        policy.noted(self.trial, self.notes)


PolicyCall = Noted | Added | Forked | Requested | Observed | Probing | Probed | Ended


class PolicyHistory(Sequence[PolicyCall]):
    """The calls of a policy, in order."""

    __slots__ = ("_others", "_steps", "_trials")

    def __init__(self) -> None:
        self._trials = array("q")
        self._steps = array("q")  # of one that was added as they are, of a request negative; 0: another call
        self._others: dict[int, PolicyCall] = {}  # by place

    def append(self, call: PolicyCall) -> None:
        """Adds a call at the end."""
        step = 0
        match call:
            case Requested() if call.step > 0:
                step = -call.step
            case Added() if call.max_steps > 0:
                step = call.max_steps
        if not step:
            self._others[len(self._steps)] = call
        self._trials.append(call.trial)
        self._steps.append(step)

    @overload
    def __getitem__(self, place: int) -> PolicyCall: ...

    @overload
    def __getitem__(self, place: slice) -> list[PolicyCall]: ...

    def __getitem__(self, place: int | slice) -> PolicyCall | list[PolicyCall]:
        found = range(len(self))[place]
        return [self._at(each) for each in found] if isinstance(found, range) else self._at(found)

    def __iter__(self) -> Iterator[PolicyCall]:
        return map(self._at, range(len(self)))

    def __len__(self) -> int:
        return len(self._steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PolicyHistory) and (self._trials, self._steps, self._others) == (
            *(other._trials, other._steps, other._others),
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PolicyHistory({list(self)!r})"

    def _at(self, place: int) -> PolicyCall:
        step = self._steps[place]
        if not step:
            return self._others[place]
        trial = self._trials[place]
        return Added(trial, step) if step > 0 else Requested(trial, -step)
