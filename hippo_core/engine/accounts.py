"""Projects and users: opened at their first use or by an administrator, given weights and limits, forgotten."""

from __future__ import annotations

import difflib

from hippo_core.allowance import Allowance
from hippo_core.engine.commands import ChangeAccount, CreateProject, DeleteProject
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import AccountChanged, AccountOpened, ProjectDeleted
from hippo_core.engine.state import Account, EngineState
from hippo_core.errors import Conflict, InvalidStudy, NotFound


def open_accounts(decision: Decision, project: str, user: str) -> None:
    """Makes a project and a user known where they are not."""
    for name in dict.fromkeys(("", user)):
        if (project, name) not in decision.state.accounts:
            decision.emit(AccountOpened(project=project, user=name))


def find_project(state: EngineState, project: str) -> Account:
    """A project's account.

    Raises:
        NotFound: There is none of that name; names the nearest.
    """
    account = state.accounts.get((project, ""))
    if account is None:
        known = sorted(name for name, user in state.accounts if not user)
        near = difflib.get_close_matches(project, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Make it first: hippo project create {project}."
        raise NotFound(f"there is no project '{project}'.", hint)
    return account


def create_project(decision: Decision, command: CreateProject) -> bool:
    """Opens a project; tells whether it was not there."""
    if (command.project, "") in decision.state.accounts:
        return False
    open_accounts(decision, command.project, "")
    return True


def delete_project(decision: Decision, command: DeleteProject) -> None:
    """Forgets a project that has no studies, with the weights and limits of its users. Its bills are kept."""
    state = decision.state
    find_project(state, command.project)
    names = [name for project, name in state.names if project == command.project]
    if names:
        there = f"{len(names)} studies" if len(names) > 1 else f"the study '{names[0]}'"
        raise Conflict(
            f"the project '{command.project}' has {there}.", "Delete them first (hippo study delete)."
        )
    decision.emit(ProjectDeleted(project=command.project))


def change_account(decision: Decision, command: ChangeAccount) -> None:
    """Gives a project or a user another weight or other limits; what is not named stays."""
    find_project(decision.state, command.project)
    account = decision.state.accounts.get((command.project, command.user))
    before = Allowance() if account is None else account.allowance
    after = Allowance.from_json({**before.to_json(), **command.changes})
    if command.user and after.max_checkpoint_bytes is not None:
        raise InvalidStudy(
            "max_checkpoint_bytes",
            "is for projects: their users share checkpoints",
            "See hippo project edit.",
        )
    if after == before:
        return
    open_accounts(decision, command.project, command.user)
    decision.emit(AccountChanged(project=command.project, user=command.user, allowance=after.to_json()))
