-- Who trains: workers with their slots, and the paths granted to them.

CREATE TABLE workers (
    name text CONSTRAINT pk_workers PRIMARY KEY,
    incarnation text NOT NULL,
    host text NOT NULL,
    environment json NOT NULL,
    labels json NOT NULL,
    state text NOT NULL,
    reason text DEFAULT '' NOT NULL,
    blocked text DEFAULT '' NOT NULL,
    registered bigint NOT NULL,
    registered_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT ck_workers_state CHECK (state IN ('live', 'draining', 'lost', 'gone'))
);
COMMENT ON TABLE workers IS 'Daemons, one per host.';
COMMENT ON COLUMN workers.name IS 'by default the host''s';
COMMENT ON COLUMN workers.incarnation IS 'made anew at each start of the daemon';
COMMENT ON COLUMN workers.host IS 'the host''s name';
COMMENT ON COLUMN workers.environment IS 'python, torch, cuda, platform';
COMMENT ON COLUMN workers.labels IS 'labels for people';
COMMENT ON COLUMN workers.state IS 'live, draining, lost or gone';
COMMENT ON COLUMN workers.reason IS 'why it is in this state';
COMMENT ON COLUMN workers.blocked IS 'what the storage says, which it cannot read; empty: it can';
COMMENT ON COLUMN workers.registered IS 'journal id of its latest registration';
COMMENT ON COLUMN workers.registered_at IS 'when it last registered';

CREATE TABLE slots (
    worker text NOT NULL CONSTRAINT fk_slots_worker REFERENCES workers,
    slot integer NOT NULL,
    device text NOT NULL,
    model text NOT NULL,
    cpus integer NOT NULL,
    gpus integer NOT NULL,
    cordoned text DEFAULT '' NOT NULL,
    cordoned_by_user boolean DEFAULT false NOT NULL,
    CONSTRAINT pk_slots PRIMARY KEY (worker, slot)
);
COMMENT ON TABLE slots IS 'Places that train one path at a time.';
COMMENT ON COLUMN slots.worker IS 'the worker';
COMMENT ON COLUMN slots.slot IS 'from 0, within the worker';
COMMENT ON COLUMN slots.device IS 'cpu or cuda';
COMMENT ON COLUMN slots.model IS 'of the accelerator or processor';
COMMENT ON COLUMN slots.cpus IS 'cores that it may use';
COMMENT ON COLUMN slots.gpus IS 'GPUs that it holds';
COMMENT ON COLUMN slots.cordoned IS 'why it is granted nothing; empty: it is granted paths';
COMMENT ON COLUMN slots.cordoned_by_user IS 'by a user, not by its worker';

CREATE TABLE leases (
    fence bigint CONSTRAINT pk_leases PRIMARY KEY,
    worker text CONSTRAINT fk_leases_worker REFERENCES workers,
    incarnation text NOT NULL,
    slot integer NOT NULL,
    plan bigint NOT NULL CONSTRAINT fk_leases_plan REFERENCES plans,
    study bigint NOT NULL CONSTRAINT fk_leases_study REFERENCES studies,
    start_node bigint CONSTRAINT fk_leases_start_node REFERENCES nodes,
    start_step bigint,
    start_fence bigint,
    in_memory boolean NOT NULL,
    state text NOT NULL,
    reason text DEFAULT '' NOT NULL,
    report bigint DEFAULT 0 NOT NULL,
    stop_saves boolean,
    stop_reason text DEFAULT '' NOT NULL,
    blocked text DEFAULT '' NOT NULL,
    granted bigint NOT NULL,
    granted_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    CONSTRAINT ck_leases_start CHECK (
        (start_node IS NULL) = (start_step IS NULL) AND (start_node IS NULL) = (start_fence IS NULL)
    ),
    CONSTRAINT ck_leases_state CHECK (
        state IN ('training', 'saving', 'orphaned', 'completed', 'released', 'failed', 'expired', 'revoked')
    )
);
COMMENT ON TABLE leases IS 'Paths granted to slots.';
COMMENT ON COLUMN leases.fence IS 'its number, which only grows';
COMMENT ON COLUMN leases.worker IS 'to whom; none: an import brought what was trained elsewhere';
COMMENT ON COLUMN leases.incarnation IS 'which life of the worker';
COMMENT ON COLUMN leases.slot IS 'which of its slots';
COMMENT ON COLUMN leases.plan IS 'of which plan';
COMMENT ON COLUMN leases.study IS 'for which study, above all';
COMMENT ON COLUMN leases.start_node IS 'node of the state to start from; none: step 0';
COMMENT ON COLUMN leases.start_step IS 'step of that state';
COMMENT ON COLUMN leases.start_fence IS 'fence of that checkpoint''s writer';
COMMENT ON COLUMN leases.in_memory IS 'whether the slot held that state in memory';
COMMENT ON COLUMN leases.state IS 'training, saving, orphaned, completed, released, failed, expired or revoked';
COMMENT ON COLUMN leases.reason IS 'why it is in this state';
COMMENT ON COLUMN leases.report IS 'number of the last report taken in';
COMMENT ON COLUMN leases.stop_saves IS 'told to end at the next step: saving there or not; none: not told';
COMMENT ON COLUMN leases.stop_reason IS 'why it was told to end';
COMMENT ON COLUMN leases.blocked IS 'why the storage held up its saves when it was last heard of; empty: it did not';
COMMENT ON COLUMN leases.granted IS 'journal id of its grant';
COMMENT ON COLUMN leases.granted_at IS 'when it was granted';
COMMENT ON COLUMN leases.ended_at IS 'when it ended';

CREATE TABLE lease_stages (
    fence bigint NOT NULL CONSTRAINT fk_lease_stages_fence REFERENCES leases,
    node bigint NOT NULL CONSTRAINT fk_lease_stages_node REFERENCES nodes,
    ordinal integer NOT NULL,
    start bigint NOT NULL,
    stop bigint NOT NULL,
    trained bigint NOT NULL,
    train_seconds double precision DEFAULT 0 NOT NULL,
    evaluate_seconds double precision DEFAULT 0 NOT NULL,
    CONSTRAINT pk_lease_stages PRIMARY KEY (fence, node),
    CONSTRAINT uq_lease_stages_fence_ordinal UNIQUE (fence, ordinal),
    CONSTRAINT ck_lease_stages_steps CHECK (start < stop AND trained BETWEEN start AND stop)
);
CREATE INDEX ix_lease_stages_node ON lease_stages (node);
COMMENT ON TABLE lease_stages IS 'The steps that a lease is to train, and has trained.';
COMMENT ON COLUMN lease_stages.fence IS 'the lease';
COMMENT ON COLUMN lease_stages.node IS 'the node';
COMMENT ON COLUMN lease_stages.ordinal IS 'from 0, root-most first';
COMMENT ON COLUMN lease_stages.start IS 'the first step';
COMMENT ON COLUMN lease_stages.stop IS 'one past the last step';
COMMENT ON COLUMN lease_stages.trained IS 'one past the last step trained';
COMMENT ON COLUMN lease_stages.train_seconds IS 'seconds of train() and apply()';
COMMENT ON COLUMN lease_stages.evaluate_seconds IS 'seconds of evaluate()';

CREATE TABLE save_points (
    fence bigint NOT NULL CONSTRAINT fk_save_points_fence REFERENCES leases,
    node bigint NOT NULL CONSTRAINT fk_save_points_node REFERENCES nodes,
    step bigint NOT NULL,
    asked bigint NOT NULL,
    ordinal integer NOT NULL,
    offered boolean NOT NULL,
    answer text,
    answered bigint,
    CONSTRAINT pk_save_points PRIMARY KEY (fence, node, step, asked),
    CONSTRAINT ck_save_points_answer CHECK (answer IN ('will', 'passed')),
    CONSTRAINT ck_save_points_answered CHECK ((answer IS NULL) = (answered IS NULL))
);
COMMENT ON TABLE save_points IS 'States that running paths were asked to save.';
COMMENT ON COLUMN save_points.fence IS 'the lease';
COMMENT ON COLUMN save_points.node IS 'node of the state to save';
COMMENT ON COLUMN save_points.step IS 'step of the state to save';
COMMENT ON COLUMN save_points.asked IS 'journal id of the lease''s grant, or of the later offer';
COMMENT ON COLUMN save_points.ordinal IS 'order among those granted with the lease';
COMMENT ON COLUMN save_points.offered IS 'whether it was asked for while the path ran';
COMMENT ON COLUMN save_points.answer IS 'will or passed; none: not answered';
COMMENT ON COLUMN save_points.answered IS 'journal id of the answer';
