"""What came of it: metrics, checkpoints and failures."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    text,
)

from hippo_core.engine.states import FailureClass
from hippo_server.store.tables.columns import metadata, moment, one_of, words


class CheckpointState(StrEnum):
    """The life of a checkpoint's row. Of dropped and lost ones the files are still to be removed."""

    KEPT = "kept"
    LOST = "lost"
    DROPPED = "dropped"


REPORTED_BY = "the lease that reported it"
"""Without a foreign key: leases stay for ever, and looking one up for each row costs an eighth of PostgreSQL's time."""

metrics = Table(
    "metrics",
    metadata,
    Column(
        "node",
        BigInteger,
        ForeignKey("nodes.id"),
        primary_key=True,
        comment="the node that trained the step before",
    ),
    Column("step", BigInteger, primary_key=True, comment="the state that was evaluated"),
    Column("fence", BigInteger, nullable=False, comment=REPORTED_BY),
    Column("metrics", JSON, nullable=False, comment="what evaluate() returned; null: not finite"),
    comment="Evaluations: one per state, whoever trained it first.",
)

training_metrics = Table(
    "training_metrics",
    metadata,
    Column(
        "node", BigInteger, ForeignKey("nodes.id"), primary_key=True, comment="the node that trained the step"
    ),
    Column("step", BigInteger, primary_key=True, comment="the state after the step"),
    Column("fence", BigInteger, nullable=False, comment=REPORTED_BY),
    Column("metrics", JSON, nullable=False, comment="what train() returned; null: not finite"),
    comment="What training steps returned: a series of its own.",
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column(
        "node",
        BigInteger,
        ForeignKey("nodes.id"),
        primary_key=True,
        comment="the node that trained the step before",
    ),
    Column("step", BigInteger, primary_key=True, comment="the saved state"),
    Column(
        "fence", BigInteger, ForeignKey("leases.fence"), primary_key=True, comment="the lease that wrote it"
    ),
    Column("size_bytes", BigInteger, nullable=False, comment="sum of the file sizes"),
    Column("digest", Text, nullable=False, comment="blake3 of the manifest"),
    Column("state", Text, nullable=False, comment="kept; lost or dropped: its files are to be removed"),
    words("reason", "why it was lost or dropped"),
    Column("published", BigInteger, nullable=False, comment="journal id of its publication"),
    moment("published_at", "when it became durable", now=True),
    one_of("state", CheckpointState),
    CheckConstraint("size_bytes >= 0", name="size_bytes"),
    Index("ix_checkpoints_removable", "node", postgresql_where=text("state <> 'kept'")),
    comment="Durable states, each in a folder of its writer's own.",
)

pins = Table(
    "pins",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="whose"),
    Column("node", BigInteger, ForeignKey("nodes.id"), primary_key=True, comment="node of the state"),
    Column("step", BigInteger, primary_key=True, comment="step of the state"),
    Column("pinned", Boolean, nullable=False, comment="false: it was, and is no more"),
    moment("pinned_at", "when a user said so", now=True),
    comment="States that stay whatever the budgets for checkpoints, for users said so.",
)

failures = Table(
    "failures",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="journal id"),
    Column("node", BigInteger, ForeignKey("nodes.id"), nullable=False, comment="where"),
    Column("step", BigInteger, nullable=False, comment="the step that was being trained"),
    Column("fence", BigInteger, ForeignKey("leases.fence"), nullable=False, comment="in which lease"),
    Column(
        "failure",
        Text,
        nullable=False,
        comment="infrastructure, user, invalid, program, memory, storage or stalled",
    ),
    Column(
        "count", BigInteger, nullable=False, comment="how often this class has failed there without progress"
    ),
    Column("message", Text, nullable=False, comment="one line, with the remedy"),
    Column("traceback", Text, nullable=False, comment="of the user's code; may be empty"),
    words("died", "the worker that died of it; empty: none did"),
    Column("forgotten", Boolean, nullable=False, server_default=text("false"), comment="it no longer counts"),
    moment("at", "when", now=True),
    one_of("failure", FailureClass),
    Index(None, "node"),
    Index("ix_failures_counting", "node", postgresql_where=text("NOT forgotten")),
    comment="Why paths could not be trained further.",
)
