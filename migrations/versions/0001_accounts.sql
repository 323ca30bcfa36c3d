-- Who may use how much, and what was billed: projects, their users, bills.

CREATE TABLE accounts (
    project text NOT NULL CONSTRAINT fk_accounts_project REFERENCES projects,
    name text NOT NULL,
    allowance json NOT NULL,
    billed bigint DEFAULT 0 NOT NULL,
    billed_gpus bigint DEFAULT 0 NOT NULL,
    passed bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (project, name)
);
COMMENT ON TABLE accounts IS 'Projects and users: what they may use, and whose turn it is.';
COMMENT ON COLUMN accounts.project IS 'the project';
COMMENT ON COLUMN accounts.name IS 'the user; empty: the project itself';
COMMENT ON COLUMN accounts.allowance IS 'its weight and its limits; null: there is none';
COMMENT ON COLUMN accounts.billed IS 'what it was billed, in microseconds of slots';
COMMENT ON COLUMN accounts.billed_gpus IS 'the same, times the GPUs of the slots';
COMMENT ON COLUMN accounts.passed IS 'how far its turns have moved on, in microseconds of a weight of 1';

CREATE TABLE bills (
    study bigint NOT NULL CONSTRAINT fk_bills_study REFERENCES studies,
    hour timestamptz NOT NULL,
    slot_microseconds bigint DEFAULT 0 NOT NULL,
    gpu_microseconds bigint DEFAULT 0 NOT NULL,
    CONSTRAINT pk_bills PRIMARY KEY (study, hour)
);
COMMENT ON TABLE bills IS 'Who paid for training. Together just what was trained; kept when a study is deleted.';
COMMENT ON COLUMN bills.study IS 'the study';
COMMENT ON COLUMN bills.hour IS 'the hour that it was billed in';
COMMENT ON COLUMN bills.slot_microseconds IS 'its part of what the steps took that were trained for it';
COMMENT ON COLUMN bills.gpu_microseconds IS 'the same, times the GPUs of the slots';
