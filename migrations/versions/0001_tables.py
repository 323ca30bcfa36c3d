"""The tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_projects()
    _create_programs()
    _create_plans()
    _create_studies()
    _create_trials()
    _create_trial_limits()
    _create_nodes()
    _create_requests()
    _create_workers()
    _create_slots()
    _create_leases()
    _create_lease_stages()
    _create_save_points()
    _create_metrics()
    _create_training_metrics()
    _create_checkpoints()
    _create_failures()
    _create_journal()
    _create_leader()
    _create_identity()
    _create_request_answers()
    _create_tokens()


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.Text(), nullable=False, comment="its name"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was first used",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projects")),
        comment="Within which sharing, roles and quotas hold.",
    )


def _create_programs() -> None:
    op.create_table(
        "programs",
        sa.Column("key", sa.Text(), nullable=False, comment="digest of the program"),
        sa.Column(
            "program", sa.JSON(), nullable=False, comment="trainer, code digest, options, seed, unit, ..."
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_programs")),
        comment="What is trained, whatever the hyper-parameters.",
    )


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False, comment="its number"),
        sa.Column("project", sa.Text(), nullable=False, comment="whose"),
        sa.Column("program", sa.Text(), nullable=False, comment="of what"),
        sa.Column(
            "environment",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="what decides bits, as canonical JSON; empty until the first lease binds it",
        ),
        sa.ForeignKeyConstraint(["program"], ["programs.key"], name=op.f("fk_plans_program")),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_plans_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        comment="Search plans: one per project, program and environment.",
    )
    op.create_index(
        "uq_plans_bound",
        "plans",
        ["project", "program", "environment"],
        unique=True,
        postgresql_where=sa.text("environment <> ''"),
    )


def _create_studies() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False, comment="its number"),
        sa.Column("project", sa.Text(), nullable=False, comment="whose"),
        sa.Column(
            "name", sa.Text(), nullable=False, comment="unique within the project, deleted studies apart"
        ),
        sa.Column("submitted_by", sa.Text(), nullable=False, comment="the user whose token submitted it"),
        sa.Column("program", sa.Text(), nullable=False, comment="what it trains"),
        sa.Column("spec", sa.JSON(), nullable=False, comment="the whole specification, as last extended"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="running, paused, stopped, completed or failed"
        ),
        sa.Column(
            "reason",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column("plan", sa.BigInteger(), nullable=True, comment="where its trials are planned"),
        sa.Column("planned", sa.BigInteger(), nullable=True, comment="journal id of that decision"),
        sa.Column(
            "bound",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="whether a lease has settled the plan",
        ),
        sa.Column(
            "steps_trained",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="steps trained while it had a request open on them",
        ),
        sa.Column(
            "steps_retrained",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="those of them that had been trained before",
        ),
        sa.Column(
            "seconds",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="slot seconds of its steps",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was submitted",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="when it last ended"),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was deleted; its trials and requests are gone",
        ),
        sa.Column(
            "last_sequence",
            sa.BigInteger(),
            nullable=True,
            comment="of a deleted study: the highest sequence of its requests",
        ),
        sa.CheckConstraint(
            "state IN ('running', 'paused', 'stopped', 'completed', 'failed')", name=op.f("ck_studies_state")
        ),
        sa.CheckConstraint("steps_retrained BETWEEN 0 AND steps_trained", name=op.f("ck_studies_steps")),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name=op.f("fk_studies_plan")),
        sa.ForeignKeyConstraint(["program"], ["programs.key"], name=op.f("fk_studies_program")),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_studies_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        comment="Searches. A deleted one keeps its row, so that its number is never given again.",
    )
    op.create_index(
        "uq_studies_name",
        "studies",
        ["project", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _create_trials() -> None:
    op.create_table(
        "trials",
        sa.Column("study", sa.BigInteger(), nullable=False, comment="the study"),
        sa.Column(
            "number", sa.BigInteger(), autoincrement=False, nullable=False, comment="from 0, within the study"
        ),
        sa.Column("assignment", sa.JSON(), nullable=False, comment="a value for each domain drawn"),
        sa.Column(
            "first_max_steps", sa.BigInteger(), nullable=False, comment="how far it might be trained at first"
        ),
        sa.Column("max_steps", sa.BigInteger(), nullable=False, comment="how far it may be trained now"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="waiting, paused, completed, stopped, diverged or failed",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column("created", sa.BigInteger(), nullable=False, comment="journal id of its creation"),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'paused', 'completed', 'stopped', 'diverged', 'failed')",
            name=op.f("ck_trials_state"),
        ),
        sa.CheckConstraint(
            "max_steps >= first_max_steps AND first_max_steps > 0", name=op.f("ck_trials_max_steps")
        ),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_trials_study")),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("pk_trials")),
        comment="Points of studies: a sequence each, and how far to train it.",
    )


def _create_trial_limits() -> None:
    op.create_table(
        "trial_limits",
        sa.Column(
            "raised",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="journal id of the decision",
        ),
        sa.Column("study", sa.BigInteger(), nullable=False, comment="the study"),
        sa.Column("trial", sa.BigInteger(), nullable=False, comment="the trial"),
        sa.Column(
            "max_steps", sa.BigInteger(), nullable=False, comment="how far it might be trained from then on"
        ),
        sa.ForeignKeyConstraint(
            ["study", "trial"], ["trials.study", "trials.number"], name=op.f("fk_trial_limits_study_trial")
        ),
        sa.PrimaryKeyConstraint("raised", name=op.f("pk_trial_limits")),
        comment="When trials were allowed to be trained further; policies see it in this order.",
    )
    op.create_index(op.f("ix_trial_limits_study"), "trial_limits", ["study"], unique=False)


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="its number; a parent's is lower",
        ),
        sa.Column("plan", sa.BigInteger(), nullable=False, comment="the plan"),
        sa.Column("parent", sa.BigInteger(), nullable=True, comment="the node it forks from; none: a root"),
        sa.Column("start", sa.BigInteger(), nullable=False, comment="the first step that it trains"),
        sa.Column("laws", sa.JSON(), nullable=False, comment="the laws in force from its start on"),
        sa.Column(
            "trained",
            sa.BigInteger(),
            nullable=False,
            comment="the furthest state that has been trained; its start: none",
        ),
        sa.Column(
            "steps",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="steps trained here, those trained again counted each time",
        ),
        sa.Column(
            "seconds",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="slot seconds of all training here",
        ),
        sa.Column(
            "not_reproducible",
            sa.BigInteger(),
            nullable=True,
            comment="the state that gave other metrics when trained again",
        ),
        sa.CheckConstraint("(parent IS NULL) = (start = 0)", name=op.f("ck_nodes_root")),
        sa.CheckConstraint("parent < id", name=op.f("ck_nodes_parent")),
        sa.CheckConstraint("trained >= start", name=op.f("ck_nodes_trained")),
        sa.ForeignKeyConstraint(["parent"], ["nodes.id"], name=op.f("fk_nodes_parent")),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name=op.f("fk_nodes_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        comment="Stretches of training that all trials through them share.",
    )
    op.create_index(op.f("ix_nodes_parent"), "nodes", ["parent"], unique=False)
    op.create_index(op.f("ix_nodes_plan"), "nodes", ["plan"], unique=False)


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column(
            "opened",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="journal id of its opening",
        ),
        sa.Column("study", sa.BigInteger(), nullable=False, comment="the study"),
        sa.Column("trial", sa.BigInteger(), nullable=False, comment="the trial"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="the state that it needs"),
        sa.Column("node", sa.BigInteger(), nullable=False, comment="the node that trains it"),
        sa.Column("state", sa.Text(), nullable=False, comment="open, reached, diverged, failed or cancelled"),
        sa.Column("closed", sa.BigInteger(), nullable=True, comment="journal id of its end"),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            nullable=True,
            comment="order of arrival; none: open, or replaced by a further one",
        ),
        sa.Column("reached", sa.BigInteger(), nullable=True, comment="the trial's step at its end"),
        sa.Column(
            "value",
            sa.Double(),
            nullable=True,
            comment="the first objective there; none: not known or not finite",
        ),
        sa.CheckConstraint("(state = 'open') = (closed IS NULL)", name=op.f("ck_requests_closed")),
        sa.CheckConstraint(
            "state IN ('open', 'reached', 'diverged', 'failed', 'cancelled')", name=op.f("ck_requests_state")
        ),
        sa.CheckConstraint("sequence IS NULL OR reached IS NOT NULL", name=op.f("ck_requests_reached")),
        sa.CheckConstraint("step > 0", name=op.f("ck_requests_step")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_requests_node")),
        sa.ForeignKeyConstraint(
            ["study", "trial"], ["trials.study", "trials.number"], name=op.f("fk_requests_study_trial")
        ),
        sa.PrimaryKeyConstraint("opened", name=op.f("pk_requests")),
        sa.UniqueConstraint("closed", name=op.f("uq_requests_closed")),
        sa.UniqueConstraint("sequence", name=op.f("uq_requests_sequence")),
        comment="States that trials need.",
    )
    op.create_index(
        "ix_requests_open_node",
        "requests",
        ["node"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_requests_study_trial"), "requests", ["study", "trial"], unique=False)
    op.create_index(
        "uq_requests_open",
        "requests",
        ["study", "trial"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False, comment="by default the host's"),
        sa.Column("incarnation", sa.Text(), nullable=False, comment="made anew at each start of the daemon"),
        sa.Column("host", sa.Text(), nullable=False, comment="the host's name"),
        sa.Column("environment", sa.JSON(), nullable=False, comment="python, torch, cuda, platform"),
        sa.Column("labels", sa.JSON(), nullable=False, comment="labels for people"),
        sa.Column("state", sa.Text(), nullable=False, comment="live, draining, lost or gone"),
        sa.Column(
            "reason",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column(
            "registered", sa.BigInteger(), nullable=False, comment="journal id of its latest registration"
        ),
        sa.Column(
            "registered_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it last registered",
        ),
        sa.CheckConstraint("state IN ('live', 'draining', 'lost', 'gone')", name=op.f("ck_workers_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
        comment="Daemons, one per host.",
    )


def _create_slots() -> None:
    op.create_table(
        "slots",
        sa.Column("worker", sa.Text(), nullable=False, comment="the worker"),
        sa.Column(
            "slot", sa.Integer(), autoincrement=False, nullable=False, comment="from 0, within the worker"
        ),
        sa.Column("device", sa.Text(), nullable=False, comment="cpu or cuda"),
        sa.Column("model", sa.Text(), nullable=False, comment="of the accelerator or processor"),
        sa.Column("cpus", sa.Integer(), nullable=False, comment="cores that it may use"),
        sa.Column("gpus", sa.Integer(), nullable=False, comment="GPUs that it holds"),
        sa.ForeignKeyConstraint(["worker"], ["workers.name"], name=op.f("fk_slots_worker")),
        sa.PrimaryKeyConstraint("worker", "slot", name=op.f("pk_slots")),
        comment="Places that train one path at a time.",
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column(
            "fence",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="its number, which only grows",
        ),
        sa.Column("worker", sa.Text(), nullable=False, comment="to whom"),
        sa.Column("incarnation", sa.Text(), nullable=False, comment="which life of the worker"),
        sa.Column("slot", sa.Integer(), nullable=False, comment="which of its slots"),
        sa.Column("plan", sa.BigInteger(), nullable=False, comment="of which plan"),
        sa.Column("study", sa.BigInteger(), nullable=False, comment="for which study, above all"),
        sa.Column(
            "start_node",
            sa.BigInteger(),
            nullable=True,
            comment="node of the state to start from; none: step 0",
        ),
        sa.Column("start_step", sa.BigInteger(), nullable=True, comment="step of that state"),
        sa.Column("start_fence", sa.BigInteger(), nullable=True, comment="fence of that checkpoint's writer"),
        sa.Column(
            "in_memory", sa.Boolean(), nullable=False, comment="whether the slot held that state in memory"
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="training, saving, completed, released, failed, expired or revoked",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="why it is in this state",
        ),
        sa.Column(
            "report",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="number of the last report taken in",
        ),
        sa.Column(
            "stop_saves",
            sa.Boolean(),
            nullable=True,
            comment="told to end at the next step: saving there or not; none: not told",
        ),
        sa.Column(
            "stop_reason",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="why it was told to end",
        ),
        sa.Column(
            "granted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was granted",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="when it ended"),
        sa.CheckConstraint(
            "state IN ('training', 'saving', 'completed', 'released', 'failed', 'expired', 'revoked')",
            name=op.f("ck_leases_state"),
        ),
        sa.CheckConstraint(
            "(start_node IS NULL) = (start_step IS NULL) AND (start_node IS NULL) = (start_fence IS NULL)",
            name=op.f("ck_leases_start"),
        ),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name=op.f("fk_leases_plan")),
        sa.ForeignKeyConstraint(["start_node"], ["nodes.id"], name=op.f("fk_leases_start_node")),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_leases_study")),
        sa.ForeignKeyConstraint(["worker"], ["workers.name"], name=op.f("fk_leases_worker")),
        sa.PrimaryKeyConstraint("fence", name=op.f("pk_leases")),
        comment="Paths granted to slots.",
    )
    op.create_index(
        "uq_leases_slot",
        "leases",
        ["worker", "slot"],
        unique=True,
        postgresql_where=sa.text("state = 'training'"),
    )


def _create_lease_stages() -> None:
    op.create_table(
        "lease_stages",
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="the lease"),
        sa.Column("node", sa.BigInteger(), nullable=False, comment="the node"),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="from 0, root-most first"),
        sa.Column("start", sa.BigInteger(), nullable=False, comment="the first step"),
        sa.Column("stop", sa.BigInteger(), nullable=False, comment="one past the last step"),
        sa.Column("trained", sa.BigInteger(), nullable=False, comment="one past the last step trained"),
        sa.Column(
            "train_seconds",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="seconds of train() and apply()",
        ),
        sa.Column(
            "evaluate_seconds",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="seconds of evaluate()",
        ),
        sa.CheckConstraint(
            "start < stop AND trained BETWEEN start AND stop", name=op.f("ck_lease_stages_steps")
        ),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_lease_stages_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_lease_stages_node")),
        sa.PrimaryKeyConstraint("fence", "node", name=op.f("pk_lease_stages")),
        sa.UniqueConstraint("fence", "ordinal", name=op.f("uq_lease_stages_fence_ordinal")),
        comment="The steps that a lease is to train, and has trained.",
    )
    op.create_index(op.f("ix_lease_stages_node"), "lease_stages", ["node"], unique=False)


def _create_save_points() -> None:
    op.create_table(
        "save_points",
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="the lease"),
        sa.Column("node", sa.BigInteger(), nullable=False, comment="node of the state to save"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="step of the state to save"),
        sa.Column(
            "asked",
            sa.BigInteger(),
            nullable=False,
            comment="journal id of the lease's grant, or of the later offer",
        ),
        sa.Column(
            "ordinal", sa.Integer(), nullable=False, comment="order among those granted with the lease"
        ),
        sa.Column(
            "offered", sa.Boolean(), nullable=False, comment="whether it was asked for while the path ran"
        ),
        sa.Column("answer", sa.Text(), nullable=True, comment="will or passed; none: not answered"),
        sa.Column("answered", sa.BigInteger(), nullable=True, comment="journal id of the answer"),
        sa.CheckConstraint("answer IN ('will', 'passed')", name=op.f("ck_save_points_answer")),
        sa.CheckConstraint("(answer IS NULL) = (answered IS NULL)", name=op.f("ck_save_points_answered")),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_save_points_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_save_points_node")),
        sa.PrimaryKeyConstraint("fence", "node", "step", "asked", name=op.f("pk_save_points")),
        comment="States that running paths were asked to save.",
    )


def _create_metrics() -> None:
    op.create_table(
        "metrics",
        sa.Column("node", sa.BigInteger(), nullable=False, comment="the node that trained the step before"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="the state that was evaluated"),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="the lease that reported it"),
        sa.Column("metrics", sa.JSON(), nullable=False, comment="what evaluate() returned; null: not finite"),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_metrics_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_metrics_node")),
        sa.PrimaryKeyConstraint("node", "step", name=op.f("pk_metrics")),
        comment="Evaluations: one per state, whoever trained it first.",
    )


def _create_training_metrics() -> None:
    op.create_table(
        "training_metrics",
        sa.Column("node", sa.BigInteger(), nullable=False, comment="the node that trained the step"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="the state after the step"),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="the lease that reported it"),
        sa.Column("metrics", sa.JSON(), nullable=False, comment="what train() returned; null: not finite"),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_training_metrics_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_training_metrics_node")),
        sa.PrimaryKeyConstraint("node", "step", name=op.f("pk_training_metrics")),
        comment="What training steps returned: a series of its own.",
    )


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("node", sa.BigInteger(), nullable=False, comment="the node that trained the step before"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="the saved state"),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="the lease that wrote it"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="sum of the file sizes"),
        sa.Column("digest", sa.Text(), nullable=False, comment="blake3 of the manifest"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="kept; lost or dropped: its files are to be removed"
        ),
        sa.Column(
            "reason", sa.Text(), server_default=sa.text("''"), nullable=False, comment="why it was lost"
        ),
        sa.Column("published", sa.BigInteger(), nullable=False, comment="journal id of its publication"),
        sa.Column(
            "published_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it became durable",
        ),
        sa.CheckConstraint("state IN ('kept', 'lost', 'dropped')", name=op.f("ck_checkpoints_state")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_checkpoints_size_bytes")),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_checkpoints_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_checkpoints_node")),
        sa.PrimaryKeyConstraint("node", "step", "fence", name=op.f("pk_checkpoints")),
        comment="Durable states, each in a folder of its writer's own.",
    )
    op.create_index(
        "ix_checkpoints_removable",
        "checkpoints",
        ["node"],
        unique=False,
        postgresql_where=sa.text("state <> 'kept'"),
    )


def _create_failures() -> None:
    op.create_table(
        "failures",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False, comment="journal id"),
        sa.Column("node", sa.BigInteger(), nullable=False, comment="where"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="the step that was being trained"),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="in which lease"),
        sa.Column("failure", sa.Text(), nullable=False, comment="infrastructure, user, invalid or memory"),
        sa.Column(
            "count",
            sa.BigInteger(),
            nullable=False,
            comment="how often this class has failed there without progress",
        ),
        sa.Column("message", sa.Text(), nullable=False, comment="one line, with the remedy"),
        sa.Column("traceback", sa.Text(), nullable=False, comment="of the user's code; may be empty"),
        sa.Column(
            "forgotten",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="it no longer counts",
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="when"
        ),
        sa.CheckConstraint(
            "failure IN ('infrastructure', 'user', 'invalid', 'memory')", name=op.f("ck_failures_failure")
        ),
        sa.ForeignKeyConstraint(["fence"], ["leases.fence"], name=op.f("fk_failures_fence")),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"], name=op.f("fk_failures_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failures")),
        comment="Why paths could not be trained further.",
    )
    op.create_index(
        "ix_failures_counting", "failures", ["node"], unique=False, postgresql_where=sa.text("NOT forgotten")
    )


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="order of what happened, without gaps",
        ),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when its transaction began",
        ),
        sa.Column("term", sa.BigInteger(), nullable=False, comment="the leader that decided it"),
        sa.Column("batch", sa.BigInteger(), nullable=False, comment="the transaction, within the term"),
        sa.Column("cause", sa.Text(), nullable=False, comment="the command that it followed from"),
        sa.Column("actor", sa.Text(), nullable=False, comment="the user or worker who gave the command"),
        sa.Column("event", sa.Text(), nullable=False, comment="what kind of event"),
        sa.Column("body", sa.JSON(), nullable=False, comment="the event"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        comment="Every event, in order, with its cause.",
    )


def _create_leader() -> None:
    op.create_table(
        "leader",
        sa.Column(
            "id", sa.SmallInteger(), autoincrement=False, nullable=False, comment="always 1: there is one row"
        ),
        sa.Column(
            "term", sa.BigInteger(), nullable=False, comment="grows with each server that takes the lead"
        ),
        sa.Column(
            "batch",
            sa.BigInteger(),
            nullable=False,
            comment="the last transaction that this leader committed",
        ),
        sa.Column("holder", sa.Text(), nullable=False, comment="the server that leads"),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="until when, unless it renews",
        ),
        sa.Column("session", sa.Integer(), nullable=False, comment="process id of its session in PostgreSQL"),
        sa.Column(
            "session_began_at", sa.DateTime(timezone=True), nullable=True, comment="when that session began"
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_leader_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leader")),
        comment="Which server leads. Every transaction checks the term last.",
    )


def _create_identity() -> None:
    op.create_table(
        "identity",
        sa.Column(
            "id", sa.SmallInteger(), autoincrement=False, nullable=False, comment="always 1: there is one row"
        ),
        sa.Column(
            "value",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="made with the database; the name of its folder in the storage",
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_identity_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        comment="Tells this database from every other, whose numbers of plans, nodes and leases are the same.",
    )
    op.execute("INSERT INTO identity (id) VALUES (1)")


def _create_request_answers() -> None:
    op.create_table(
        "request_answers",
        sa.Column(
            "request_id",
            sa.Text(),
            nullable=False,
            comment="made by the client, with each change that it asks for",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="the method called"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="of what was asked, to tell another request with the same id",
        ),
        sa.Column(
            "answer",
            sa.LargeBinary(),
            nullable=False,
            comment="what was answered first, and is answered again",
        ),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was answered",
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_request_answers")),
        comment="First answers to requests; kept for a day.",
    )
    op.create_index(op.f("ix_request_answers_at"), "request_answers", ["at"], unique=False)


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="its number"),
        sa.Column("name", sa.Text(), nullable=False, comment="who or what holds it"),
        sa.Column("project", sa.Text(), nullable=False, comment="where it is valid"),
        sa.Column("role", sa.Text(), nullable=False, comment="viewer, editor, admin or worker"),
        sa.Column(
            "secret_hash", sa.Text(), nullable=False, comment="digest of the secret, which is not kept"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="from when on it is refused; none: never",
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True, comment="when it was revoked"),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin', 'worker')", name=op.f("ck_tokens_role")),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_tokens_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("name", name=op.f("uq_tokens_name")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_tokens_secret_hash")),
        comment="Who may do what.",
    )
