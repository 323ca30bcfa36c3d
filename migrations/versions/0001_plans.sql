-- What is trained: projects, programs, search plans and their nodes.

CREATE TABLE projects (
    name text CONSTRAINT pk_projects PRIMARY KEY,
    created_at timestamptz DEFAULT now() NOT NULL
);
COMMENT ON TABLE projects IS 'Within which sharing, roles and quotas hold.';
COMMENT ON COLUMN projects.name IS 'its name';
COMMENT ON COLUMN projects.created_at IS 'when it was first used';

CREATE TABLE programs (
    key text CONSTRAINT pk_programs PRIMARY KEY,
    program json NOT NULL
);
COMMENT ON TABLE programs IS 'What is trained, whatever the hyper-parameters.';
COMMENT ON COLUMN programs.key IS 'digest of the program';
COMMENT ON COLUMN programs.program IS 'trainer, code digest, options, seed, unit, ...';

CREATE TABLE plans (
    id bigint CONSTRAINT pk_plans PRIMARY KEY,
    project text NOT NULL CONSTRAINT fk_plans_project REFERENCES projects,
    program text NOT NULL CONSTRAINT fk_plans_program REFERENCES programs,
    environment text DEFAULT '' NOT NULL
);
COMMENT ON TABLE plans IS
    'Search plans: one per project, program and environment that has studies, and those that had.';
COMMENT ON COLUMN plans.id IS 'its number';
COMMENT ON COLUMN plans.project IS 'whose';
COMMENT ON COLUMN plans.program IS 'of what';
COMMENT ON COLUMN plans.environment IS
    'what decides bits, as canonical JSON; empty until the first lease binds it';

CREATE TABLE nodes (
    id bigint CONSTRAINT pk_nodes PRIMARY KEY,
    plan bigint NOT NULL CONSTRAINT fk_nodes_plan REFERENCES plans,
    parent bigint CONSTRAINT fk_nodes_parent REFERENCES nodes,
    start bigint NOT NULL,
    laws json NOT NULL,
    trained bigint NOT NULL,
    steps bigint DEFAULT 0 NOT NULL,
    seconds double precision DEFAULT 0 NOT NULL,
    not_reproducible bigint,
    CONSTRAINT ck_nodes_parent CHECK (parent < id),
    CONSTRAINT ck_nodes_root CHECK ((parent IS NULL) = (start = 0)),
    CONSTRAINT ck_nodes_trained CHECK (trained >= start)
);
CREATE INDEX ix_nodes_parent ON nodes (parent);
CREATE INDEX ix_nodes_plan ON nodes (plan);
COMMENT ON TABLE nodes IS 'Stretches of training that all trials through them share.';
COMMENT ON COLUMN nodes.id IS 'its number; a parent''s is lower';
COMMENT ON COLUMN nodes.plan IS 'the plan';
COMMENT ON COLUMN nodes.parent IS 'the node it forks from; none: a root';
COMMENT ON COLUMN nodes.start IS 'the first step that it trains';
COMMENT ON COLUMN nodes.laws IS 'the laws in force from its start on';
COMMENT ON COLUMN nodes.trained IS 'the furthest state that has been trained; its start: none';
COMMENT ON COLUMN nodes.steps IS 'steps trained here, those trained again counted each time';
COMMENT ON COLUMN nodes.seconds IS 'slot seconds of all training here';
COMMENT ON COLUMN nodes.not_reproducible IS 'the state that gave other metrics when trained again';
