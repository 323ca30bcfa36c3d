"""What is trained: projects, programs, search plans and their nodes."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, Text

from hippo_server.store.tables.columns import count, metadata, moment, seconds, words

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
    comment="Search plans: one per project, program and environment that has studies, and those that had.",
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
