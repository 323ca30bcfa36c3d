"""The tables, as the latest migration leaves them, in the same groups; a test proves that the two agree.

A guarantee is a constraint first: one open request per trial, one training path per slot, one row of
metrics per state. Columns hold what is asked for or constrained. What is only carried is ``json`` and not
``jsonb``, since it must come back as it was: ``jsonb`` loses the sign of -0.0, the difference between 1e16
and an int, and the order of a space's names, which a grid's numbering follows.

Numbers that order what happened (``created``, ``opened``, ...) are ids of the journal: reading rows back in
their order gives events in the order in which they came.
"""

from hippo_server.store.tables import accounts, leases, plans, results, server, studies
from hippo_server.store.tables.columns import metadata
from hippo_server.store.tables.results import CheckpointState
from hippo_server.store.tables.server import ROLES

__all__ = [
    "ROLES",
    "CheckpointState",
    "accounts",
    "leases",
    "metadata",
    "plans",
    "results",
    "server",
    "studies",
]
