"""Whose turn it is: fair shares of projects, and of the users within each.

Theory of operation. This is start-time fair queueing (Goyal, Vin, Cheng, IEEE/ACM Transactions on Networking 5(5),
1997) over two levels, with slots for links, as stride scheduling has it for processors (Waldspurger, Weihl,
MIT/LCS/TM-528, 1995): each account has a *pass* that moves on by what it is billed, divided by its weight, and a free
slot goes to whose pass is least: first among projects, then among the users of the project. A slot counts with one
*turn* from the moment it is granted, so that slots that become free together are divided by weight too. To know it,
a path that has run since its last report is taken to have run for the time that has passed.

Where no slot is free, somebody who waits takes one over from another, if even then the one who gains it is not further
on than the one who loses it: ``pass + (slots + 1) turns / weight`` against ``pass + (slots - 1) turns / weight``. What
is taken over so is not taken back before a whole turn has passed.

Who had nothing to train and comes again begins where the last of those who are there is, or, where nobody is, with the
foremost there ever was: what was used, or left to others, in the meantime does not count. And nobody is ever behind the
foremost by more than the *credit*: who trained less than others for a while, or could not, is preferred for that much,
and no longer. So nobody starves.

Priorities come before: shares are divided among those of the highest priority that is ready. With one user there is
nothing to divide, and nothing of this is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from hippo_core.billing import MICROSECONDS
from hippo_core.engine.courses import seconds_left
from hippo_core.engine.decision import Decision, EngineSettings
from hippo_core.engine.events import TurnsBegun
from hippo_core.engine.state import Account, EngineState, PlanState
from hippo_core.lease import Lease

Owner = tuple[str, str]
"""A project and one of its users; with an empty user, the project itself."""

Turn = tuple[float, float]
"""How far a project has come, and a user within it; who has the least is next."""

NOBODY_ELSE: Turn = (0.0, 0.0)


def owner_of(state: EngineState, lease: Lease) -> Owner:
    """For whom a path runs, above all."""
    return state.plans[lease.plan].project, lease.user


def passed(state: EngineState, account: Account, settings: EngineSettings) -> int:
    """How far an account's turns have moved on, the credit that it lost included; microseconds of a weight of 1."""
    foremost = state.foremost.get(account.project if account.user else "", 0)
    return max(account.passed, foremost - round(settings.credit_seconds * MICROSECONDS))


def moves_on(state: EngineState, owner: Owner, microseconds: int, settings: EngineSettings) -> int:
    """By how much an account's turns move on when it is billed so many microseconds."""
    account = state.accounts.get(owner)
    if account is None:
        return 0
    lost_credit = passed(state, account, settings) - account.passed
    return lost_credit + round(microseconds / account.allowance.weight)


def present(state: EngineState) -> dict[Owner, None]:
    """Those who have something to train."""
    studies = (state.studies[number] for number in state.active)
    return dict.fromkeys((study.project, study.user) for study in studies if study.open)


def begin_turns(decision: Decision) -> None:
    """Lets the turns of those who come begin with those of the others."""
    now, before = present(decision.state), decision.volatile.present
    if now.keys() == before.keys():
        return
    turns = Turns(decision)
    for owner in now:
        if owner in before:
            continue
        project, user = owner
        others = [(project, other) for each, other in now if each == project and other != user]
        projects = [(each, "") for each in dict.fromkeys(each for each, _ in now) if each != project]
        passed = turns.behind(owner, [each for each in others if each in before])
        is_new = not any(each == project for each, _ in before)
        there = [key for key in projects if any(each == key[0] for each, _ in before)]
        project_passed = turns.behind((project, ""), there) if is_new else 0
        if passed or project_passed:
            decision.emit(
                TurnsBegun(project=project, user=user, passed=passed, project_passed=project_passed)
            )
    decision.volatile.present = now


class Turns:
    """Whose turn it is, as of one moment.

    Args:
        decision: Nothing is decided.
    """

    __slots__ = ("_settings", "_state", "_unbilled", "alone", "in_use", "limits", "owners", "slots")

    def __init__(self, decision: Decision) -> None:
        state = self._state = decision.state
        self._settings = decision.settings
        self.owners: dict[Owner, None] = {}  #: of running studies
        for number in state.active:
            study = state.studies[number]
            self.owners[study.project, study.user] = None
        self.limits = _are_limited(state, self.owners)
        self.alone = len(self.owners) < 2
        self.in_use = 0  #: slots
        self.slots: dict[Owner, int] = {}  #: of paths that are not told to end
        self._unbilled: dict[Owner, float] = {}
        if self.alone and not self.limits:
            return  # nobody asks
        for lease in state.leases.values():
            if not state.is_first(lease):
                continue
            self.in_use += 1
            project, user = owner_of(state, lease)
            seconds = 0.0 if self.alone else _unreported_seconds(decision, lease)
            for owner in ((project, user), (project, "")):
                self._unbilled[owner] = self._unbilled.get(owner, 0.0) + seconds
                if not lease.stopping:
                    self.slots[owner] = self.slots.get(owner, 0) + 1

    def users_in(self, plan: PlanState) -> list[str | None]:
        """The users of a plan's running studies; None for the one that there is where nothing is to be divided."""
        if self.alone and not self.limits:
            return [None]
        owners, active = self._state.owners, self._state.active
        return list(dict.fromkeys(owners[number] for number in plan.studies if number in active))

    def count(self, owner: Owner, more: int) -> None:
        """An owner has so many more slots."""
        for key in (owner, (owner[0], "")):
            self.slots[key] = self.slots.get(key, 0) + more

    def turn(self, owner: Owner, more: int = 0) -> Turn:
        """How far an owner's project, and the owner within it, have come, if it had so many ``more`` slots."""
        if self.alone:
            return NOBODY_ELSE
        return self._place((owner[0], ""), more), self._place(owner, more)

    def behind(self, key: Owner, others: Iterable[Owner]) -> int:
        """How far a user or a project is behind the last of others, or behind the foremost if there are none."""
        account = self._state.accounts.get(key)
        if account is None:
            return 0
        foremost = self._state.foremost.get(key[0] if key[1] else "", 0)
        last = min((round(self._came(each) * MICROSECONDS) for each in others), default=foremost)
        return max(0, last - account.passed)

    def lag(self, owner: Owner, other: Owner) -> float:
        """By how much an owner, with one slot more, would be further on than another with one less; 0 or less: not.

        Across projects these are compared.
        """
        level = 0 if owner[0] != other[0] else 1
        return self.turn(owner, 1)[level] - self.turn(other, -1)[level]

    def has_claim(self, owner: Owner) -> bool:
        """Whether an owner may take a slot over from somebody."""
        others = (other for other in self.slots if other[1] and other != owner)
        return not self.alone and any(self.slots[other] and self.lag(owner, other) <= 0 for other in others)

    def claim_in(self, owner: Owner, other: Owner) -> float:
        """In how many seconds an owner may take a slot over from another, if both go on as now; infinite: never."""
        lag = self.lag(owner, other)
        ours, theirs = (owner, other) if owner[0] == other[0] else ((owner[0], ""), (other[0], ""))
        speed = self.slots.get(theirs, 0) / self._weight(theirs) - self.slots.get(ours, 0) / self._weight(
            ours
        )
        return max(0.0, lag / speed) if speed > 0 else math.inf

    def _place(self, key: Owner, more: int) -> float:
        turns = self.slots.get(key, 0) + more
        return self._came(key) + turns * self._settings.turn_seconds / self._weight(key)

    def _came(self, key: Owner) -> float:
        account = self._state.accounts.get(key)
        came = 0 if account is None else passed(self._state, account, self._settings)
        return came / MICROSECONDS + self._unbilled.get(key, 0.0) / self._weight(key)

    def _weight(self, key: Owner) -> float:
        account = self._state.accounts.get(key)
        return 1.0 if account is None else account.allowance.weight

    def may_take(self, owner: Owner) -> bool:
        """Whether the limits of an owner and its project let it have a further slot."""
        return not self.limits or not limited(self._state, owner, self.slots)


def _are_limited(state: EngineState, owners: Iterable[Owner]) -> bool:
    """Whether any of these owners, or their projects, has a limit that keeps slots from it."""
    for project, user in owners:
        for key in ((project, user), (project, "")):
            account = state.accounts.get(key)
            if account is not None and account.allowance.keeps_slots:
                return True
    return False


def limited(state: EngineState, owner: Owner, slots: dict[Owner, int]) -> str:
    """Which limit keeps an owner from a further slot, in words; empty: none.

    Args:
        state: The state.
        owner: Who wants one.
        slots: How many each owner and project has.
    """
    project, user = owner
    for key, name in ((owner, f"user {user}"), ((project, ""), f"project {project}")):
        account = state.accounts.get(key)
        most = None if account is None else account.allowance.max_slots
        if most is not None and slots.get(key, 0) >= most:
            return f"{name} may have {most} slots at once (max_slots)"
    account = state.accounts.get((project, ""))
    most = None if account is None else account.allowance.max_checkpoint_bytes
    kept = state.checkpoint_bytes.get(project, 0)
    if most is not None and kept >= most:
        return (
            f"project {project} keeps {kept} bytes of checkpoints, and may keep {most} (max_checkpoint_bytes)"
        )
    return ""


def slots_in_use(state: EngineState) -> dict[Owner, int]:
    """How many slots each owner and project has, those of paths told to end left out."""
    slots: dict[Owner, int] = {}
    for lease in state.leases.values():
        if not lease.stopping and state.is_first(lease):
            project, user = owner_of(state, lease)
            for owner in ((project, user), (project, "")):
                slots[owner] = slots.get(owner, 0) + 1
    return slots


def _unreported_seconds(decision: Decision, lease: Lease) -> float:
    """For how long a path has run since its last report, as far as it can be told."""
    course = decision.volatile.courses.get((lease.worker, lease.slot))
    if course is None or course.fence != lease.fence:
        return 0.0
    return max(0.0, seconds_left(decision.state, lease) - max(0.0, course.ends - decision.now))
