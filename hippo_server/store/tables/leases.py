"""Who trains: workers with their slots, and the paths granted to them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from hippo_core.engine.states import LeaseState, WorkerState
from hippo_server.store.tables.columns import count, metadata, moment, one_of, seconds, words

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True, comment="by default the host's"),
    Column("incarnation", Text, nullable=False, comment="made anew at each start of the daemon"),
    Column("host", Text, nullable=False, comment="the host's name"),
    Column("environment", JSON, nullable=False, comment="python, torch, cuda, platform"),
    Column("labels", JSON, nullable=False, comment="labels for people"),
    Column("state", Text, nullable=False, comment="live, draining, lost or gone"),
    words("reason", "why it is in this state"),
    words("blocked", "what the storage says, which it cannot read; empty: it can"),
    Column("registered", BigInteger, nullable=False, comment="journal id of its latest registration"),
    moment("registered_at", "when it last registered", now=True),
    one_of("state", WorkerState),
    comment="Daemons, one per host.",
)

slots = Table(
    "slots",
    metadata,
    Column("worker", Text, ForeignKey("workers.name"), primary_key=True, comment="the worker"),
    Column("slot", Integer, primary_key=True, autoincrement=False, comment="from 0, within the worker"),
    Column("device", Text, nullable=False, comment="cpu or cuda"),
    Column("model", Text, nullable=False, comment="of the accelerator or processor"),
    Column("cpus", Integer, nullable=False, comment="cores that it may use"),
    Column("gpus", Integer, nullable=False, comment="GPUs that it holds"),
    words("cordoned", "why it is granted nothing; empty: it is granted paths"),
    Column(
        "cordoned_by_user",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="by a user, not by its worker",
    ),
    comment="Places that train one path at a time.",
)

leases = Table(
    "leases",
    metadata,
    Column(
        "fence", BigInteger, primary_key=True, autoincrement=False, comment="its number, which only grows"
    ),
    Column(
        "worker",
        Text,
        ForeignKey("workers.name"),
        comment="to whom; none: an import brought what was trained elsewhere",
    ),
    Column("incarnation", Text, nullable=False, comment="which life of the worker"),
    Column("slot", Integer, nullable=False, comment="which of its slots"),
    Column("plan", BigInteger, ForeignKey("plans.id"), nullable=False, comment="of which plan"),
    Column(
        "study", BigInteger, ForeignKey("studies.id"), nullable=False, comment="for which study, above all"
    ),
    Column(
        "start_node",
        BigInteger,
        ForeignKey("nodes.id"),
        comment="node of the state to start from; none: step 0",
    ),
    Column("start_step", BigInteger, comment="step of that state"),
    Column("start_fence", BigInteger, comment="fence of that checkpoint's writer"),
    Column("in_memory", Boolean, nullable=False, comment="whether the slot held that state in memory"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="training, saving, orphaned, completed, released, failed, expired or revoked",
    ),
    words("reason", "why it is in this state"),
    count("report", "number of the last report taken in"),
    Column(
        "stop_saves", Boolean, comment="told to end at the next step: saving there or not; none: not told"
    ),
    words("stop_reason", "why it was told to end"),
    words("blocked", "why the storage held up its saves when it was last heard of; empty: it did not"),
    Column("granted", BigInteger, nullable=False, comment="journal id of its grant"),
    moment("granted_at", "when it was granted", now=True),
    moment("ended_at", "when it ended"),
    one_of("state", LeaseState),
    CheckConstraint(
        "(start_node IS NULL) = (start_step IS NULL) AND (start_node IS NULL) = (start_fence IS NULL)",
        name="start",
    ),
    comment="Paths granted to slots.",
)

lease_stages = Table(
    "lease_stages",
    metadata,
    Column("fence", BigInteger, ForeignKey("leases.fence"), primary_key=True, comment="the lease"),
    Column("node", BigInteger, ForeignKey("nodes.id"), primary_key=True, comment="the node"),
    Column("ordinal", Integer, nullable=False, comment="from 0, root-most first"),
    Column("start", BigInteger, nullable=False, comment="the first step"),
    Column("stop", BigInteger, nullable=False, comment="one past the last step"),
    Column("trained", BigInteger, nullable=False, comment="one past the last step trained"),
    seconds("train_seconds", "seconds of train() and apply()"),
    seconds("evaluate_seconds", "seconds of evaluate()"),
    UniqueConstraint("fence", "ordinal"),
    Index(None, "node"),
    CheckConstraint("start < stop AND trained BETWEEN start AND stop", name="steps"),
    comment="The steps that a lease is to train, and has trained.",
)

save_points = Table(
    "save_points",
    metadata,
    Column("fence", BigInteger, ForeignKey("leases.fence"), primary_key=True, comment="the lease"),
    Column("node", BigInteger, ForeignKey("nodes.id"), primary_key=True, comment="node of the state to save"),
    Column("step", BigInteger, primary_key=True, comment="step of the state to save"),
    Column(
        "asked",
        BigInteger,
        primary_key=True,
        comment="journal id of the lease's grant, or of the later offer",
    ),
    Column("ordinal", Integer, nullable=False, comment="order among those granted with the lease"),
    Column("offered", Boolean, nullable=False, comment="whether it was asked for while the path ran"),
    Column("answer", Text, comment="will or passed; none: not answered"),
    Column("answered", BigInteger, comment="journal id of the answer"),
    CheckConstraint("answer IN ('will', 'passed')", name="answer"),
    CheckConstraint("(answer IS NULL) = (answered IS NULL)", name="answered"),
    comment="States that running paths were asked to save.",
)
