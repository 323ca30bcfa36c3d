"""The part of ``apply`` that is about projects and users: what they may use, and what they are billed."""

from __future__ import annotations

from typing import assert_never

from hippo_core.allowance import Allowance
from hippo_core.engine import events as ev
from hippo_core.engine.state import Account, EngineState

AccountEvent = ev.AccountOpened | ev.AccountChanged | ev.TurnsBegun | ev.ProjectDeleted


def apply_account(state: EngineState, event: AccountEvent) -> None:
    """A project or a user came, was changed, or went."""
    match event:
        case ev.AccountOpened():
            account = Account(project=event.project, user=event.user)
            state.accounts[event.project, event.user] = account
        case ev.AccountChanged():
            state.accounts[event.project, event.user].allowance = Allowance.from_json(event.allowance)
        case ev.TurnsBegun():
            move_on(state, event)
        case ev.ProjectDeleted():
            for key in [key for key in state.accounts if key[0] == event.project]:
                del state.accounts[key]
            state.foremost.pop(event.project, None)
            projects = (account.passed for account in state.accounts.values() if not account.user)
            state.foremost[""] = max(projects, default=0)
        case _:
            assert_never(event)


def bill(state: EngineState, event: ev.StudyCredited) -> None:
    """Bills a user and the project, and moves their turns on."""
    for user in (event.user, ""):
        account = state.accounts.get((event.project, user))
        if account is not None:
            account.billed += event.billed
            account.billed_gpus += event.billed_gpus
    move_on(state, event)


def move_on(state: EngineState, event: ev.StudyCredited | ev.TurnsBegun) -> None:
    """Moves the turns of a user and of the project on."""
    for user, passed in ((event.user, event.passed), ("", event.project_passed)):
        account = state.accounts.get((event.project, user))
        if account is not None:
            account.passed += passed
            among = event.project if user else ""
            state.foremost[among] = max(state.foremost.get(among, 0), account.passed)
