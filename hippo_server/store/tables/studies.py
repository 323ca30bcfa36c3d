"""What is searched: studies, their trials, and the states that those need."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    text,
)

from hippo_core.engine.states import RequestState, StudyState, TrialState
from hippo_server.store.tables.columns import count, metadata, moment, one_of, seconds, words

studies = Table(
    "studies",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="its number"),
    Column("project", Text, ForeignKey("projects.name"), nullable=False, comment="whose"),
    Column("name", Text, nullable=False, comment="unique within the project, deleted studies apart"),
    Column("submitted_by", Text, nullable=False, comment="the user whose token submitted it"),
    Column("program", Text, ForeignKey("programs.key"), nullable=False, comment="what it trains"),
    Column("spec", JSON, nullable=False, comment="the whole specification, as last changed"),
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
    seconds("ran_seconds", "how long it has been running"),
    count("exhausted", "how many points its space has, where all are trials"),
    words("ending", "which of its endings holds; empty: none"),
    words("ending_reason", "why, in words and numbers"),
    Column("asked", JSON, comment="what its terminator was asked last"),
    Column("judged", JSON, comment="what that has said; none: it is still to"),
    moment("created_at", "when it was submitted", now=True),
    moment("ended_at", "when it last ended"),
    moment("points_wanted_at", "since when it wants points from outside; none: it wants none"),
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
    Column(
        "number",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="from 0, within the study; which repeat of it stands above the 32nd bit, which probe above the 48th",
    ),
    Column("assignment", JSON, nullable=False, comment="a value for each domain drawn"),
    Column("first_max_steps", BigInteger, nullable=False, comment="how far it might be trained at first"),
    Column("max_steps", BigInteger, nullable=False, comment="how far it may be trained now"),
    count("wanted", "how far a user wants it trained, whatever its policy; 0: no further than that"),
    Column("state", Text, nullable=False, comment="waiting, paused, completed, stopped, diverged or failed"),
    words("reason", "why it is in this state"),
    Column("created", BigInteger, nullable=False, comment="journal id of its creation"),
    Column("notes", JSON, nullable=False, comment="what its sampler wants to find again with it"),
    Column(
        "fork",
        JSON,
        comment="its parent, the step, and its hyper-parameters; none: it is neither fork nor probe",
    ),
    Column("enqueued", Boolean, nullable=False, comment="whether its point is a user's, not the sampler's"),
    one_of("state", TrialState),
    CheckConstraint("max_steps >= first_max_steps AND first_max_steps > 0", name="max_steps"),
    comment="Points of studies, and probes of them: a sequence each, and how far to train it.",
)

study_specs = Table(
    "study_specs",
    metadata,
    Column("since", BigInteger, primary_key=True, autoincrement=False, comment="journal id of the decision"),
    Column("study", BigInteger, ForeignKey("studies.id"), nullable=False, comment="the study"),
    Column("spec", JSON, nullable=False, comment="the whole specification from then on"),
    Column("differences", JSON, nullable=False, comment="lines: what had changed; empty at its submission"),
    Index(None, "study"),
    comment="How studies were submitted, extended and edited; what was drawn, and policies, follow this order.",
)

proposals = Table(
    "proposals",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="the study"),
    Column("trial", BigInteger, primary_key=True, autoincrement=False, comment="the number of the trial"),
    Column(
        "sequence", BigInteger, nullable=False, comment="of the last request whose end its sampler may see"
    ),
    Column("pending", JSON, nullable=False, comment="the trials that had open requests when it was wanted"),
    Column(
        "max_steps",
        BigInteger,
        comment="how far trials were to be trained then; none: as their schedules say",
    ),
    count("failures", "how often its sampler has failed to make it"),
    words("reason", "why it failed last"),
    comment="Points that samplers were asked for. One without a trial is still waited for.",
)

policy_answers = Table(
    "policy_answers",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="the study"),
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="how many came before"),
    Column("mark", BigInteger, nullable=False, comment="of how much of the study's history it was told"),
    Column("max_trials", BigInteger, nullable=False, comment="how many trials there were to be in all"),
    Column("finish", Boolean, nullable=False, comment="whether no trial was on its way or to come"),
    comment="What users' own policies have answered, and from what: they are told the same once more after a loss.",
)

policy_failures = Table(
    "policy_failures",
    metadata,
    Column("study", BigInteger, ForeignKey("studies.id"), primary_key=True, comment="the study"),
    Column(
        "number", BigInteger, primary_key=True, autoincrement=False, comment="the answer that did not come"
    ),
    count("failures", "how often its policy has failed to give it"),
    words("reason", "why it failed last"),
    comment="Answers that users' own policies failed to give. One without an answer is still waited for.",
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

trial_stops = Table(
    "trial_stops",
    metadata,
    Column(
        "stopped", BigInteger, primary_key=True, autoincrement=False, comment="journal id of the decision"
    ),
    Column("study", BigInteger, nullable=False, comment="the study"),
    Column("trial", BigInteger, nullable=False, comment="the trial"),
    ForeignKeyConstraint(["study", "trial"], ["trials.study", "trials.number"]),
    Index(None, "study"),
    comment="When users stopped single trials; policies see it in this order.",
)

requests = Table(
    "requests",
    metadata,
    Column("opened", BigInteger, primary_key=True, autoincrement=False, comment="journal id of its opening"),
    Column("study", BigInteger, nullable=False, comment="the study"),
    Column("trial", BigInteger, nullable=False, comment="the trial"),
    Column("step", BigInteger, nullable=False, comment="the state that it needs"),
    Column("node", BigInteger, ForeignKey("nodes.id"), nullable=False, comment="the node that trains it"),
    Column("by_user", Boolean, nullable=False, comment="whether it is a user's word, not the policy's"),
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
