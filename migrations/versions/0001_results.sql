-- What came of it: metrics, checkpoints and failures.

CREATE TABLE metrics (
    node bigint NOT NULL CONSTRAINT fk_metrics_node REFERENCES nodes,
    step bigint NOT NULL,
    fence bigint NOT NULL,
    metrics json NOT NULL,
    CONSTRAINT pk_metrics PRIMARY KEY (node, step)
);
COMMENT ON TABLE metrics IS 'Evaluations: one per state, whoever trained it first.';
COMMENT ON COLUMN metrics.node IS 'the node that trained the step before';
COMMENT ON COLUMN metrics.step IS 'the state that was evaluated';
COMMENT ON COLUMN metrics.fence IS 'the lease that reported it';
COMMENT ON COLUMN metrics.metrics IS 'what evaluate() returned; null: not finite';

CREATE TABLE training_metrics (
    node bigint NOT NULL CONSTRAINT fk_training_metrics_node REFERENCES nodes,
    step bigint NOT NULL,
    fence bigint NOT NULL,
    metrics json NOT NULL,
    CONSTRAINT pk_training_metrics PRIMARY KEY (node, step)
);
COMMENT ON TABLE training_metrics IS 'What training steps returned: a series of its own.';
COMMENT ON COLUMN training_metrics.node IS 'the node that trained the step';
COMMENT ON COLUMN training_metrics.step IS 'the state after the step';
COMMENT ON COLUMN training_metrics.fence IS 'the lease that reported it';
COMMENT ON COLUMN training_metrics.metrics IS 'what train() returned; null: not finite';

CREATE TABLE checkpoints (
    node bigint NOT NULL CONSTRAINT fk_checkpoints_node REFERENCES nodes,
    step bigint NOT NULL,
    fence bigint NOT NULL CONSTRAINT fk_checkpoints_fence REFERENCES leases,
    size_bytes bigint NOT NULL,
    digest text NOT NULL,
    state text NOT NULL,
    reason text DEFAULT '' NOT NULL,
    published bigint NOT NULL,
    published_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_checkpoints PRIMARY KEY (node, step, fence),
    CONSTRAINT ck_checkpoints_size_bytes CHECK (size_bytes >= 0),
    CONSTRAINT ck_checkpoints_state CHECK (state IN ('kept', 'lost', 'dropped'))
);
CREATE INDEX ix_checkpoints_removable ON checkpoints (node) WHERE state <> 'kept';
COMMENT ON TABLE checkpoints IS 'Durable states, each in a folder of its writer''s own.';
COMMENT ON COLUMN checkpoints.node IS 'the node that trained the step before';
COMMENT ON COLUMN checkpoints.step IS 'the saved state';
COMMENT ON COLUMN checkpoints.fence IS 'the lease that wrote it';
COMMENT ON COLUMN checkpoints.size_bytes IS 'sum of the file sizes';
COMMENT ON COLUMN checkpoints.digest IS 'blake3 of the manifest';
COMMENT ON COLUMN checkpoints.state IS 'kept; lost or dropped: its files are to be removed';
COMMENT ON COLUMN checkpoints.reason IS 'why it was lost or dropped';
COMMENT ON COLUMN checkpoints.published IS 'journal id of its publication';
COMMENT ON COLUMN checkpoints.published_at IS 'when it became durable';

CREATE TABLE pins (
    study bigint NOT NULL CONSTRAINT fk_pins_study REFERENCES studies,
    node bigint NOT NULL CONSTRAINT fk_pins_node REFERENCES nodes,
    step bigint NOT NULL,
    pinned boolean NOT NULL,
    pinned_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_pins PRIMARY KEY (study, node, step)
);
COMMENT ON TABLE pins IS 'States that stay whatever the budgets for checkpoints, for users said so.';
COMMENT ON COLUMN pins.study IS 'whose';
COMMENT ON COLUMN pins.node IS 'node of the state';
COMMENT ON COLUMN pins.step IS 'step of the state';
COMMENT ON COLUMN pins.pinned IS 'false: it was, and is no more';
COMMENT ON COLUMN pins.pinned_at IS 'when a user said so';

CREATE TABLE failures (
    id bigint CONSTRAINT pk_failures PRIMARY KEY,
    node bigint NOT NULL CONSTRAINT fk_failures_node REFERENCES nodes,
    step bigint NOT NULL,
    fence bigint NOT NULL CONSTRAINT fk_failures_fence REFERENCES leases,
    failure text NOT NULL,
    count bigint NOT NULL,
    message text NOT NULL,
    traceback text NOT NULL,
    died text DEFAULT '' NOT NULL,
    forgotten boolean DEFAULT false NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT ck_failures_failure CHECK (failure IN ('infrastructure', 'user', 'invalid', 'program', 'memory', 'storage', 'stalled'))
);
CREATE INDEX ix_failures_node ON failures (node);
CREATE INDEX ix_failures_counting ON failures (node) WHERE NOT forgotten;
COMMENT ON TABLE failures IS 'Why paths could not be trained further.';
COMMENT ON COLUMN failures.id IS 'journal id';
COMMENT ON COLUMN failures.node IS 'where';
COMMENT ON COLUMN failures.step IS 'the step that was being trained';
COMMENT ON COLUMN failures.fence IS 'in which lease';
COMMENT ON COLUMN failures.failure IS 'infrastructure, user, invalid, program, memory, storage or stalled';
COMMENT ON COLUMN failures.count IS 'how often this class has failed there without progress';
COMMENT ON COLUMN failures.message IS 'one line, with the remedy';
COMMENT ON COLUMN failures.traceback IS 'of the user''s code; may be empty';
COMMENT ON COLUMN failures.died IS 'the worker that died of it; empty: none did';
COMMENT ON COLUMN failures.forgotten IS 'it no longer counts';
COMMENT ON COLUMN failures.at IS 'when';
