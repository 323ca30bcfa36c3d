"""The local supervisor: a home's server and worker as processes, for as long as somebody is attached.

::

    hippo run ──attach──┐                       ┌── hippo-server ── PostgreSQL
    hippo run ──attach──┼── supervisor (1 a home)│
    hippo.Client() ─────┘   lock, socket        └── hippo-worker ── runners

The first to attach starts the supervisor as a detached process. It starts the server, and the worker once
somebody needs one, starts again what dies, and ends when nobody has been attached for ten seconds: the worker
drains first, then the server stops. A connection to its Unix socket *is* the attachment, so a client that is
killed detaches too. If the supervisor itself is killed, its children die with it (Linux), or are found in the
home's record and ended by the next one (elsewhere, and wherever they take their time). Those attached notice at
once, as their connections end without a word; the first of them starts the next one.
"""

from hippo_client.local.attach import (
    Attachment,
    attach,
    is_supervised,
    keep_attached,
    running_server,
    shut_down,
)
from hippo_client.local.home import Home, default_home

__all__ = [
    "Attachment",
    "Home",
    "attach",
    "default_home",
    "is_supervised",
    "keep_attached",
    "running_server",
    "shut_down",
]
