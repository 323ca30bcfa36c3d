"""Rows of projects, and of what their users may have."""

from __future__ import annotations

from hippo_core.allowance import Allowance
from hippo_core.engine import events as ev
from hippo_server.store.batch import Batch
from hippo_server.store.rows.handler import Handler


def _opened(batch: Batch, event: ev.AccountOpened, position: int) -> None:
    batch.keep("projects", name=event.project)
    batch.insert("accounts", project=event.project, name=event.user, allowance=Allowance().to_json())


def _changed(batch: Batch, event: ev.AccountChanged, position: int) -> None:
    batch.update("accounts", event.project, event.user, allowance=event.allowance)


def _turns_begun(batch: Batch, event: ev.TurnsBegun, position: int) -> None:
    for user, passed in ((event.user, event.passed), ("", event.project_passed)):
        if passed:
            batch.update("accounts", event.project, user, how="add", passed=passed)


HANDLERS: dict[type, Handler] = {
    ev.AccountOpened: _opened,
    ev.AccountChanged: _changed,
    ev.TurnsBegun: _turns_begun,
}
