"""Which server a command talks to: the one that is named, else this home's, started if it does not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hippo_client.cli.terminal import say

if TYPE_CHECKING:
    from hippo_client.client import Client


def named_server() -> str | None:
    """The server that ``HIPPO_SERVER`` names."""
    return os.environ.get("HIPPO_SERVER") or None


@contextmanager
def connect(*, worker: bool = False) -> Iterator[Client]:
    """A client for the length of a command.

    Args:
        worker: Whether a local server needs a worker too, for what is handed to it and left there.
    """
    from hippo_client.client import Client
    from hippo_client.local import Home, attach, is_supervised, running_server

    home = Home.at()
    by_hand = running_server(home) is not None and not is_supervised(home)
    if named_server() is not None or by_hand:
        with Client() as client:
            yield client
        return
    with (
        attach(home, worker=worker, tell=say) as attachment,
        Client(attachment.server, attachment.token) as client,
    ):
        yield client
        if worker and not attachment.stays:
            say("This machine's server ends when no command has used it for 10 s: `hippo up` lets it stay.")
