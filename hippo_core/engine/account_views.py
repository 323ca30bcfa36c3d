"""What people see of projects and users: what they may use, what they use, what keeps them from more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.billing import MICROSECONDS
from hippo_core.engine.quotas import crowded, open_studies, open_trials
from hippo_core.engine.state import Account, EngineState
from hippo_core.engine.states import StudyState, WorkerState
from hippo_core.engine.study import Study
from hippo_core.engine.turns import Owner, limited, present, slots_in_use


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """A project, or a user of one.

    Attributes:
        project: The project.
        user: The user; empty: the project itself.
        allowance: Its weight and limits.
        billed: Microseconds of slots.
        billed_gpus: Microseconds of GPUs.
        studies: How many run or are paused.
        open_trials: How many of their trials wait to be trained, or are.
        slots: How many train for it now.
        checkpoint_bytes: Of a project: what is kept.
        waits: What keeps its paths from slots, in words; may be empty.
    """

    project: str
    user: str
    allowance: Mapping[str, Any]
    billed: int
    billed_gpus: int
    studies: int
    open_trials: int
    slots: int
    checkpoint_bytes: int
    waits: str


def account_view(state: EngineState, project: str, user: str) -> AccountView:
    """A project, or a user of it; one that has not used anything has a weight of 1 and no limits."""
    account = state.accounts.get((project, user)) or Account(project=project, user=user)
    slots = slots_in_use(state)
    waiting = open_trials(state, account)
    return AccountView(
        project=project,
        user=user,
        allowance=account.allowance.to_json(),
        billed=account.billed,
        billed_gpus=account.billed_gpus,
        studies=len(open_studies(state, account)),
        open_trials=waiting,
        slots=slots.get((project, user), 0),
        checkpoint_bytes=0 if user else state.checkpoint_bytes.get(project, 0),
        waits=_share_in_words(state, (project, user), slots) if user and waiting else "",
    )


def projects(state: EngineState) -> list[str]:
    """All projects, by name."""
    return sorted(project for project, user in state.accounts if not user)


def users(state: EngineState, project: str) -> list[str]:
    """The users that are known of a project, by name."""
    return sorted(user for each, user in state.accounts if each == project and user)


def seconds_saved(study: Study, seconds_alone: float) -> float:
    """What a study's user did not pay, though its trials have it.

    Args:
        study: The study.
        seconds_alone: What its trials would have taken, each trained alone.
    """
    return max(0.0, seconds_alone - study.billed / MICROSECONDS)


def turn_in_words(state: EngineState, study: Study) -> str:
    """What keeps a running study from slots while others have them; empty: nothing, or no limit and no share does."""
    if study.state is not StudyState.RUNNING:
        return ""
    if not study.open:
        return crowded(state, study) if study.unproposed else ""
    owner = study.project, study.user
    leases = (lease for lease in state.leases.values() if lease.training and lease.plan == study.plan)
    if any(lease.user == study.user for lease in leases):
        return ""
    return _share_in_words(state, owner, slots_in_use(state))


def _share_in_words(state: EngineState, owner: Owner, slots: dict[Owner, int]) -> str:
    limit = limited(state, owner, slots)
    if limit:
        return limit
    live = (worker for worker in state.workers.values() if worker.state is WorkerState.LIVE)
    total = sum(not slot.cordoned for worker in live for slot in worker.slots.values())
    there = present(state)
    in_use = sum(count for (_, user), count in slots.items() if not user)
    if len(there) < 2 or owner not in there or in_use < total:
        return ""
    share = total * _part(state, owner, list(there))
    have = slots.get(owner, 0)
    return f"waits for its turn: {owner[1]} has {have} of {total} slots, and a share of {share:.3g}"


def _part(state: EngineState, owner: Owner, there: list[Owner]) -> float:
    """Which part of the pool is an owner's, of those who have something to train."""

    def weight(key: Owner) -> float:
        account = state.accounts.get(key)
        return 1.0 if account is None else account.allowance.weight

    project = owner[0]
    of_all = sum(weight((each, "")) for each in dict.fromkeys(name for name, _ in there))
    of_project = sum(weight(each) for each in there if each[0] == project)
    return weight((project, "")) / of_all * weight(owner) / of_project
