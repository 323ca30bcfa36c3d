"""What the server keeps for itself: the journal, who leads, answers, tokens and the audit log."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from hippo_server.store.tables.columns import metadata, moment, one_of

TOLD_OF_STUDIES = (
    "StudySubmitted",
    "StudyChanged",
    "StudyStateChanged",
    "EndingHeld",
    "EndingLifted",
    "JudgementFailed",
    "ProposalFailed",
    "SpaceExhausted",
    "PolicyFailed",
    "PolicyForgiven",
    "TrialCreated",
    "TrialStopped",
    "TrialWanted",
    "TrialStateChanged",
    "LeaseGranted",
    "CheckpointPinned",
    "CheckpointUnpinned",
)
"""The events that pages tell of a study; the engine knows them by these names."""

ROLES = ("viewer", "editor", "admin", "worker", "join")

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
    moment("at", "when the first command of its transaction was decided", now=True),
    Column("term", BigInteger, nullable=False, comment="the leader that decided it"),
    Column("batch", BigInteger, nullable=False, comment="the transaction, within the term"),
    Column("cause", Text, nullable=False, comment="the command that it followed from"),
    Column(
        "actor",
        Text,
        nullable=False,
        comment="the user or worker who gave the command; server where several did, or nobody",
    ),
    Column("event", Text, nullable=False, comment="what kind of event"),
    Column("body", JSON, nullable=False, comment="the event"),
    Column("study", BigInteger, comment="the study that it is about, where it is about one"),
    Column("trial", BigInteger, comment="the trial of that study, where it is about one"),
    Index("ix_journal_trial", "study", "trial", postgresql_where=text("trial IS NOT NULL")),
    # What befalls a path's states is rare: an explanation looks through all of it.
    Index("ix_journal_states", "id", postgresql_where=text("event IN ('CheckpointLost', 'LeaseBlocked')")),
    Index(
        "ix_journal_study",
        "study",
        "id",
        postgresql_where=text(f"event IN ({', '.join(repr(each) for each in TOLD_OF_STUDIES)})"),
    ),
    comment="Every event, in order, with its cause.",
)

leader = Table(
    "leader",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, comment="always 1: there is one row"),
    Column("term", BigInteger, nullable=False, comment="grows with each server that takes the lead"),
    Column(
        "beat",
        BigInteger,
        nullable=False,
        comment="grows with each renewal: a leader whose beat stands still for its lease is replaced",
    ),
    Column("batch", BigInteger, nullable=False, comment="the last transaction that this leader committed"),
    Column("holder", Text, nullable=False, comment="the server that leads"),
    Column("address", Text, nullable=False, comment="where callers find it"),
    moment("since", "when it took the lead", now=True),
    Column(
        "lease_seconds",
        Double,
        nullable=False,
        comment="how long others wait for its next beat; 0: it has let the lead go",
    ),
    Column(
        "timeline",
        BigInteger,
        comment="of PostgreSQL's history when it took the lead; none: it does not tell",
    ),
    Column(
        "session",
        Integer,
        comment="process id of its session in PostgreSQL; none: a pooler stands between",
    ),
    moment("session_began_at", "when that session began"),
    CheckConstraint("id = 1", name="one_row"),
    comment="Which server leads. Every transaction checks the term last.",
)

standbys = Table(
    "standbys",
    metadata,
    Column("holder", Text, primary_key=True, comment="the server"),
    Column("address", Text, nullable=False, comment="where callers find it"),
    Column("version", Text, nullable=False, comment="its version"),
    Column(
        "valid_until",
        DateTime(timezone=True),
        nullable=False,
        comment="until when that counts, unless it says so again",
    ),
    comment="Servers that stand by, or did. For people: no decision looks at it.",
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
    Column(
        "skipped_fences",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="fences up to this one are not granted: they may have been, in a history that was lost",
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
    Column("role", Text, nullable=False, comment="viewer, editor, admin, worker or join"),
    Column(
        "secret_hash", Text, nullable=False, unique=True, comment="digest of the secret, which is not kept"
    ),
    moment("created_at", "when it was made", now=True),
    moment("expires_at", "from when on it is refused; none: never"),
    moment("revoked_at", "when it was revoked"),
    Column("uses_left", Integer, comment="of a join token: how many workers may still join with it"),
    one_of("role", ROLES),
    comment="Who may do what.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("secret_hash", Text, primary_key=True, comment="digest of the cookie, which is not kept"),
    Column(
        "token",
        Text,
        ForeignKey("tokens.secret_hash", ondelete="CASCADE"),
        nullable=False,
        index=True,
        comment="digest of the token on whose behalf it acts, and with which it ends",
    ),
    moment("created_at", "when it began", now=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, comment="from when on it is refused"),
    comment="Browsers that are logged in.",
)

audit = Table(
    "audit",
    metadata,
    Column(
        "id", BigInteger, Identity(always=True), primary_key=True, comment="order in which they were written"
    ),
    moment("at", "when it was answered", now=True),
    Column("actor", Text, nullable=False, comment="the token's name; empty: nobody knows"),
    Column("role", Text, nullable=False, comment="the token's role"),
    Column("project", Text, nullable=False, comment="the token's project"),
    Column("peer", Text, nullable=False, comment="the address that it came from"),
    Column("method", Text, nullable=False, comment="what was called"),
    Column("subject", Text, nullable=False, comment="what it was about"),
    Column("request_id", Text, nullable=False, comment="made by the client; empty: the method has none"),
    Column(
        "digest", Text, nullable=False, comment="of the message; empty: it was refused before it was read"
    ),
    Column("result", Text, nullable=False, comment="OK, or the code of the error"),
    comment="Calls that change something, and calls that were refused for who asked.",
)
