"""Which server a command talks to: the one that is named, else this home's, started if it does not run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from hippo_client.cli.terminal import say

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_client.local import Attachment, Home

Notices = Callable[[], Sequence[str]]
Result = TypeVar("Result")


def named_server() -> str | None:
    """The server that ``HIPPO_SERVER`` names, or that the home's owner has logged in to."""
    from hippo_client.local import Home
    from hippo_client.login import read_login

    named = os.environ.get("HIPPO_SERVER")
    if named:
        return named
    kept = read_login(Home.at())
    return None if kept is None else kept.server


def with_server(
    work: Callable[[Client, Notices], Result], *, worker: bool = False, tell: Callable[[str], None] = say
) -> Result:
    """Do work that takes long; where this machine's supervisor is killed meanwhile, do it again with the next one.

    Args:
        work: Gets a client, and what to ask now and then for what else there is to tell.
        worker: Whether a local server needs a worker too.
        tell: Hears what is going on, in a few words.

    Returns:
        What the work returns.
    """
    from hippo_client.client import Client
    from hippo_client.local import Home, attach, keep_attached

    home = Home.at()
    if is_elsewhere(home):
        with Client() as client:
            return work(client, tuple)

    def attached(attachment: Attachment) -> Result:
        with Client.attached(attachment) as client:
            return work(client, attachment.notices)

    with attach(home, worker=worker, tell=tell) as attachment:
        return keep_attached(attachment, attached, tell)


@contextmanager
def connect(*, worker: bool = False) -> Iterator[Client]:
    """A client for the length of a command.

    Args:
        worker: Whether a local server needs a worker too, for what is handed to it and left there.
    """
    from hippo_client.client import Client
    from hippo_client.local import Home, attach

    home = Home.at()
    if is_elsewhere(home):
        with Client() as client:
            yield client
        return
    with (
        attach(home, worker=worker, tell=say) as attachment,
        Client.attached(attachment) as client,
    ):
        yield client
        if worker and not attachment.stays:
            say("This machine's server ends when no command has used it for 10 s: `hippo up` lets it stay.")


def is_elsewhere(home: Home) -> bool:
    """Whether there is a server that no supervisor of the home looks after: one that is named, or started by hand."""
    from hippo_client.local import is_supervised, running_server

    return named_server() is not None or (running_server(home) is not None and not is_supervised(home))
