"""The tables, as the latest migration leaves them; a test proves that the two agree.

A guarantee is a constraint first: one open request per trial, one training path per slot, one row of
metrics per state. Columns hold what is asked for or constrained. What is only carried is ``json`` and not
``jsonb``, since it must come back as it was: ``jsonb`` loses the sign of -0.0, the difference between 1e16
and an int, and the order of a space's names, which a grid's numbering follows.

Numbers that order what happened (``created``, ``opened``, ...) are ids of the journal: reading rows back in
their order gives events in the order in which they came.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from hippo_core.engine.states import (
    FailureClass,
    LeaseState,
    RequestState,
    StudyState,
    TrialState,
    WorkerState,
)
from hippo_server.store.columns import count, metadata, moment, one_of, seconds, words

__all__ = ["ROLES", "CheckpointState", "metadata"]

ROLES = ("viewer", "editor", "admin", "worker")


class CheckpointState(StrEnum):
    """The life of a checkpoint's row. Of dropped and lost ones the files are still to be removed."""

    KEPT = "kept"
    LOST = "lost"
    DROPPED = "dropped"


projects = Table(
    "projects",
    metadata,
    Column("name", Text, primary_key=True, comment="its name"),
    moment("created_at", "when it was first used", now=True),
    comment="Within which sharing, roles and quotas hold.",
)

programs = Table(
    "programs",
    metadata,
    Column("key", Text, primary_key=True, comment="digest of the program"),
    Column("program", JSON, nullable=False, comment="trainer, code digest, options, seed, unit, ..."),
    comment="What is trained, whatever the hyper-parameters.",
)

plans = Table(
    "plans",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="its number"),
    Column("project", Text, ForeignKey("projects.name"), nullable=False, comment="whose"),
    Column("program", Text, ForeignKey("programs.key"), nullable=False, comment="of what"),
    words("environment", "what decides bits, as canonical JSON; empty until the first lease binds it"),
    Index(
        "uq_plans_bound",
        "project",
        "program",
        "environment",
        unique=True,
        postgresql_where=text("environment <> ''"),
    ),
    comment="Search plans: one per project, program and environment.",
)

studies = Table(
    "studies",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="its number"),
    Column("project", Text, ForeignKey("projects.name"), nullable=False, comment="whose"),
    Column("name", Text, nullable=False, comment="unique within the project, deleted studies apart"),
    Column("submitted_by", Text, nullable=False, comment="the user whose token submitted it"),
    Column("program", Text, ForeignKey("programs.key"), nullable=False, comment="what it trains"),
    Column("spec", JSON, nullable=False, comment="the whole specification, as last extended"),
    Column("state", Text, nullable=False, comment="running, paused, stopped, completed or failed"),
    words("reason", "why it is in this state"),
    Column("plan", BigInteger, ForeignKey("plans.id"), comment="where its trials are planned"),
    Column("planned", BigInteger, comment="journal id of that decision"),
    Column(
        "bound",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="whether a lease has settled the plan",
    ),
    count("steps_trained", "steps trained while it had a request open on them"),
    count("steps_retrained", "those of them that had been trained before"),
    seconds("seconds", "slot seconds of its steps"),
    moment("created_at", "when it was submitted", now=True),
    moment("ended_at", "when it last ended"),
    moment("deleted_at", "when it was deleted; its trials and requests are gone"),
    Column("last_sequence", BigInteger, comment="of a deleted study: the highest sequence of its requests"),
    one_of("state", StudyState),
    CheckConstraint("steps_retrained BETWEEN 0 AND steps_trained", name="steps"),
    Index("uq_studies_name", "project", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    comment="Searches. A deleted one keeps its row, so that its number is never given again.",
)

trials = Table(
    "trials",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="the study"),
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="from 0, within the study"),
    Column("assignment", JSON, nullable=False, comment="a value for each domain drawn"),
    Column("first_max_steps", BigInteger, nullable=False, comment="how far it might be trained at first"),
    Column("max_steps", BigInteger, nullable=False, comment="how far it may be trained now"),
    Column("state", Text, nullable=False, comment="waiting, paused, completed, stopped, diverged or failed"),
    words("reason", "why it is in this state"),
    Column("created", BigInteger, nullable=False, comment="journal id of its creation"),
    one_of("state", TrialState),
    CheckConstraint("max_steps >= first_max_steps AND first_max_steps > 0", name="max_steps"),
    comment="Points of studies: a sequence each, and how far to train it.",
)

trial_limits = Table(
    "trial_limits",
    metadata,
    Column("raised", BigInteger, primary_key=True, autoincrement=False, comment="journal id of the decision"),
    Column("study", BigInteger, nullable=False, comment="the study"),
    Column("trial", BigInteger, nullable=False, comment="the trial"),
    Column("max_steps", BigInteger, nullable=False, comment="how far it might be trained from then on"),
    ForeignKeyConstraint(["study", "trial"], ["trials.study", "trials.number"]),
    Index(None, "study"),
    comment="When trials were allowed to be trained further; policies see it in this order.",
)

nodes = Table(
    "nodes",
    metadata,
    Column(
        "id", BigInteger, primary_key=True, autoincrement=False, comment="its number; a parent's is lower"
    ),
    Column("plan", BigInteger, ForeignKey("plans.id"), nullable=False, comment="the plan"),
    Column("parent", BigInteger, ForeignKey("nodes.id"), comment="the node it forks from; none: a root"),
    Column("start", BigInteger, nullable=False, comment="the first step that it trains"),
    Column("laws", JSON, nullable=False, comment="the laws in force from its start on"),
    Column(
        "trained",
        BigInteger,
        nullable=False,
        comment="the furthest state that has been trained; its start: none",
    ),
    count("steps", "steps trained here, those trained again counted each time"),
    seconds("seconds", "slot seconds of all training here"),
    Column("not_reproducible", BigInteger, comment="the state that gave other metrics when trained again"),
    CheckConstraint("trained >= start", name="trained"),
    CheckConstraint("(parent IS NULL) = (start = 0)", name="root"),
    CheckConstraint("parent < id", name="parent"),
    Index(None, "plan"),
    Index(None, "parent"),
    comment="Stretches of training that all trials through them share.",
)

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
    comment="Places that train one path at a time.",
)

leases = Table(
    "leases",
    metadata,
    Column(
        "fence", BigInteger, primary_key=True, autoincrement=False, comment="its number, which only grows"
    ),
    Column("worker", Text, ForeignKey("workers.name"), nullable=False, comment="to whom"),
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
        comment="training, saving, completed, released, failed, expired or revoked",
    ),
    words("reason", "why it is in this state"),
    count("report", "number of the last report taken in"),
    Column(
        "stop_saves", Boolean, comment="told to end at the next step: saving there or not; none: not told"
    ),
    words("stop_reason", "why it was told to end"),
    moment("granted_at", "when it was granted", now=True),
    moment("ended_at", "when it ended"),
    one_of("state", LeaseState),
    CheckConstraint(
        "(start_node IS NULL) = (start_step IS NULL) AND (start_node IS NULL) = (start_fence IS NULL)",
        name="start",
    ),
    Index("uq_leases_slot", "worker", "slot", unique=True, postgresql_where=text("state = 'training'")),
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

requests = Table(
    "requests",
    metadata,
    Column("opened", BigInteger, primary_key=True, autoincrement=False, comment="journal id of its opening"),
    Column("study", BigInteger, nullable=False, comment="the study"),
    Column("trial", BigInteger, nullable=False, comment="the trial"),
    Column("step", BigInteger, nullable=False, comment="the state that it needs"),
    Column("node", BigInteger, ForeignKey("nodes.id"), nullable=False, comment="the node that trains it"),
    Column("state", Text, nullable=False, comment="open, reached, diverged, failed or cancelled"),
    Column("closed", BigInteger, unique=True, comment="journal id of its end"),
    Column(
        "sequence",
        BigInteger,
        unique=True,
        comment="order of arrival; none: open, or replaced by a further one",
    ),
    Column("reached", BigInteger, comment="the trial's step at its end"),
    Column("value", Double, comment="the first objective there; none: not known or not finite"),
    ForeignKeyConstraint(["study", "trial"], ["trials.study", "trials.number"]),
    one_of("state", RequestState),
    CheckConstraint("(state = 'open') = (closed IS NULL)", name="closed"),
    CheckConstraint("sequence IS NULL OR reached IS NOT NULL", name="reached"),
    CheckConstraint("step > 0", name="step"),
    Index("uq_requests_open", "study", "trial", unique=True, postgresql_where=text("state = 'open'")),
    Index(None, "study", "trial"),
    Index("ix_requests_open_node", "node", postgresql_where=text("state = 'open'")),
    comment="States that trials need.",
)

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
    Column(
        "fence", BigInteger, ForeignKey("leases.fence"), nullable=False, comment="the lease that reported it"
    ),
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
    Column(
        "fence", BigInteger, ForeignKey("leases.fence"), nullable=False, comment="the lease that reported it"
    ),
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
    words("reason", "why it was lost"),
    Column("published", BigInteger, nullable=False, comment="journal id of its publication"),
    moment("published_at", "when it became durable", now=True),
    one_of("state", CheckpointState),
    CheckConstraint("size_bytes >= 0", name="size_bytes"),
    Index("ix_checkpoints_removable", "node", postgresql_where=text("state <> 'kept'")),
    comment="Durable states, each in a folder of its writer's own.",
)

failures = Table(
    "failures",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="journal id"),
    Column("node", BigInteger, ForeignKey("nodes.id"), nullable=False, comment="where"),
    Column("step", BigInteger, nullable=False, comment="the step that was being trained"),
    Column("fence", BigInteger, ForeignKey("leases.fence"), nullable=False, comment="in which lease"),
    Column("failure", Text, nullable=False, comment="infrastructure, user, invalid or memory"),
    Column(
        "count", BigInteger, nullable=False, comment="how often this class has failed there without progress"
    ),
    Column("message", Text, nullable=False, comment="one line, with the remedy"),
    Column("traceback", Text, nullable=False, comment="of the user's code; may be empty"),
    Column("forgotten", Boolean, nullable=False, server_default=text("false"), comment="it no longer counts"),
    moment("at", "when", now=True),
    one_of("failure", FailureClass),
    Index("ix_failures_counting", "node", postgresql_where=text("NOT forgotten")),
    comment="Why paths could not be trained further.",
)

journal = Table(
    "journal",
    metadata,
    Column(
        "id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="order of what happened, without gaps",
    ),
    moment("at", "when its transaction began", now=True),
    Column("term", BigInteger, nullable=False, comment="the leader that decided it"),
    Column("batch", BigInteger, nullable=False, comment="the transaction, within the term"),
    Column("cause", Text, nullable=False, comment="the command that it followed from"),
    Column("actor", Text, nullable=False, comment="the user or worker who gave the command"),
    Column("event", Text, nullable=False, comment="what kind of event"),
    Column("body", JSON, nullable=False, comment="the event"),
    comment="Every event, in order, with its cause.",
)

leader = Table(
    "leader",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, comment="always 1: there is one row"),
    Column("term", BigInteger, nullable=False, comment="grows with each server that takes the lead"),
    Column("batch", BigInteger, nullable=False, comment="the last transaction that this leader committed"),
    Column("holder", Text, nullable=False, comment="the server that leads"),
    moment("expires_at", "until when, unless it renews", now=True),
    Column("session", Integer, nullable=False, comment="process id of its session in PostgreSQL"),
    moment("session_began_at", "when that session began"),
    CheckConstraint("id = 1", name="one_row"),
    comment="Which server leads. Every transaction checks the term last.",
)

identity = Table(
    "identity",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, comment="always 1: there is one row"),
    Column(
        "value",
        Uuid,
        nullable=False,
        server_default=text("gen_random_uuid()"),
        comment="made with the database; the name of its folder in the storage",
    ),
    CheckConstraint("id = 1", name="one_row"),
    comment="Tells this database from every other, whose numbers of plans, nodes and leases are the same.",
)

request_answers = Table(
    "request_answers",
    metadata,
    Column(
        "request_id", Text, primary_key=True, comment="made by the client, with each change that it asks for"
    ),
    Column("method", Text, nullable=False, comment="the method called"),
    Column(
        "digest", Text, nullable=False, comment="of what was asked, to tell another request with the same id"
    ),
    Column("answer", LargeBinary, nullable=False, comment="what was answered first, and is answered again"),
    moment("at", "when it was answered", now=True),
    Index(None, "at"),
    comment="First answers to requests; kept for a day.",
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="its number"),
    Column("name", Text, nullable=False, unique=True, comment="who or what holds it"),
    Column("project", Text, ForeignKey("projects.name"), nullable=False, comment="where it is valid"),
    Column("role", Text, nullable=False, comment="viewer, editor, admin or worker"),
    Column(
        "secret_hash", Text, nullable=False, unique=True, comment="digest of the secret, which is not kept"
    ),
    moment("created_at", "when it was made", now=True),
    moment("expires_at", "from when on it is refused; none: never"),
    moment("revoked_at", "when it was revoked"),
    one_of("role", ROLES),
    comment="Who may do what.",
)
