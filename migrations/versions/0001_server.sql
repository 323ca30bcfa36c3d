-- What the server keeps for itself: the journal, who leads, answers, tokens and the audit log.

CREATE TABLE journal (
    id bigint CONSTRAINT pk_journal PRIMARY KEY,
    at timestamptz DEFAULT now() NOT NULL,
    term bigint NOT NULL,
    batch bigint NOT NULL,
    cause text NOT NULL,
    actor text NOT NULL,
    event text NOT NULL,
    body json NOT NULL,
    study bigint,
    trial bigint
);
CREATE INDEX ix_journal_trial ON journal (study, trial) WHERE trial IS NOT NULL;
CREATE INDEX ix_journal_states ON journal (id) WHERE event IN ('CheckpointLost', 'LeaseBlocked');
CREATE INDEX ix_journal_study ON journal (study, id) WHERE event IN (
    'StudySubmitted', 'StudyChanged', 'StudyStateChanged', 'EndingHeld', 'EndingLifted',
    'JudgementFailed', 'ProposalFailed', 'SpaceExhausted', 'PolicyFailed', 'PolicyForgiven',
    'TrialCreated', 'TrialStopped', 'TrialWanted', 'TrialStateChanged', 'LeaseGranted',
    'CheckpointPinned', 'CheckpointUnpinned'
);
COMMENT ON TABLE journal IS 'Every event, in order, with its cause.';
COMMENT ON COLUMN journal.id IS 'order of what happened, without gaps';
COMMENT ON COLUMN journal.at IS 'when the first command of its transaction was decided';
COMMENT ON COLUMN journal.term IS 'the leader that decided it';
COMMENT ON COLUMN journal.batch IS 'the transaction, within the term';
COMMENT ON COLUMN journal.cause IS 'the command that it followed from';
COMMENT ON COLUMN journal.actor IS 'the user or worker who gave the command; server where several did, or nobody';
COMMENT ON COLUMN journal.event IS 'what kind of event';
COMMENT ON COLUMN journal.body IS 'the event';
COMMENT ON COLUMN journal.study IS 'the study that it is about, where it is about one';
COMMENT ON COLUMN journal.trial IS 'the trial of that study, where it is about one';

CREATE TABLE leader (
    id smallint CONSTRAINT pk_leader PRIMARY KEY,
    term bigint NOT NULL,
    beat bigint NOT NULL,
    batch bigint NOT NULL,
    holder text NOT NULL,
    address text NOT NULL,
    since timestamptz DEFAULT now() NOT NULL,
    lease_seconds double precision NOT NULL,
    timeline bigint,
    session integer,
    session_began_at timestamptz,
    CONSTRAINT ck_leader_one_row CHECK (id = 1)
);
COMMENT ON TABLE leader IS 'Which server leads. Every transaction checks the term last.';
COMMENT ON COLUMN leader.id IS 'always 1: there is one row';
COMMENT ON COLUMN leader.term IS 'grows with each server that takes the lead';
COMMENT ON COLUMN leader.beat IS 'grows with each renewal: a leader whose beat stands still for its lease is replaced';
COMMENT ON COLUMN leader.batch IS 'the last transaction that this leader committed';
COMMENT ON COLUMN leader.holder IS 'the server that leads';
COMMENT ON COLUMN leader.address IS 'where callers find it';
COMMENT ON COLUMN leader.since IS 'when it took the lead';
COMMENT ON COLUMN leader.lease_seconds IS 'how long others wait for its next beat; 0: it has let the lead go';
COMMENT ON COLUMN leader.timeline IS 'of PostgreSQL''s history when it took the lead; none: it does not tell';
COMMENT ON COLUMN leader.session IS 'process id of its session in PostgreSQL; none: a pooler stands between';
COMMENT ON COLUMN leader.session_began_at IS 'when that session began';

CREATE TABLE standbys (
    holder text CONSTRAINT pk_standbys PRIMARY KEY,
    address text NOT NULL,
    version text NOT NULL,
    valid_until timestamptz NOT NULL
);
COMMENT ON TABLE standbys IS 'Servers that stand by, or did. For people: no decision looks at it.';
COMMENT ON COLUMN standbys.holder IS 'the server';
COMMENT ON COLUMN standbys.address IS 'where callers find it';
COMMENT ON COLUMN standbys.version IS 'its version';
COMMENT ON COLUMN standbys.valid_until IS 'until when that counts, unless it says so again';

CREATE TABLE identity (
    id smallint CONSTRAINT pk_identity PRIMARY KEY,
    value uuid DEFAULT gen_random_uuid() NOT NULL,
    skipped_fences bigint DEFAULT 0 NOT NULL,
    CONSTRAINT ck_identity_one_row CHECK (id = 1)
);
COMMENT ON TABLE identity IS
    'Tells this database from every other, whose numbers of plans, nodes and leases are the same.';
COMMENT ON COLUMN identity.id IS 'always 1: there is one row';
COMMENT ON COLUMN identity.value IS 'made with the database; the name of its folder in the storage';
COMMENT ON COLUMN identity.skipped_fences IS
    'fences up to this one are not granted: they may have been, in a history that was lost';
INSERT INTO identity (id) VALUES (1);

CREATE TABLE request_answers (
    request_id text CONSTRAINT pk_request_answers PRIMARY KEY,
    method text NOT NULL,
    digest text NOT NULL,
    answer bytea NOT NULL,
    at timestamptz DEFAULT now() NOT NULL
);
CREATE INDEX ix_request_answers_at ON request_answers (at);
COMMENT ON TABLE request_answers IS 'First answers to requests; kept for a day.';
COMMENT ON COLUMN request_answers.request_id IS 'made by the client, with each change that it asks for';
COMMENT ON COLUMN request_answers.method IS 'the method called';
COMMENT ON COLUMN request_answers.digest IS 'of what was asked, to tell another request with the same id';
COMMENT ON COLUMN request_answers.answer IS 'what was answered first, and is answered again';
COMMENT ON COLUMN request_answers.at IS 'when it was answered';

CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tokens PRIMARY KEY,
    name text NOT NULL CONSTRAINT uq_tokens_name UNIQUE,
    project text NOT NULL CONSTRAINT fk_tokens_project REFERENCES projects,
    role text NOT NULL,
    secret_hash text NOT NULL CONSTRAINT uq_tokens_secret_hash UNIQUE,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    uses_left integer,
    CONSTRAINT ck_tokens_role CHECK (role IN ('viewer', 'editor', 'admin', 'worker', 'join'))
);
COMMENT ON TABLE tokens IS 'Who may do what.';
COMMENT ON COLUMN tokens.id IS 'its number';
COMMENT ON COLUMN tokens.name IS 'who or what holds it';
COMMENT ON COLUMN tokens.project IS 'where it is valid';
COMMENT ON COLUMN tokens.role IS 'viewer, editor, admin, worker or join';
COMMENT ON COLUMN tokens.secret_hash IS 'digest of the secret, which is not kept';
COMMENT ON COLUMN tokens.created_at IS 'when it was made';
COMMENT ON COLUMN tokens.expires_at IS 'from when on it is refused; none: never';
COMMENT ON COLUMN tokens.revoked_at IS 'when it was revoked';
COMMENT ON COLUMN tokens.uses_left IS 'of a join token: how many workers may still join with it';

CREATE TABLE sessions (
    secret_hash text CONSTRAINT pk_sessions PRIMARY KEY,
    token text NOT NULL CONSTRAINT fk_sessions_token REFERENCES tokens (secret_hash) ON DELETE CASCADE,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_sessions_token ON sessions (token);
COMMENT ON TABLE sessions IS 'Browsers that are logged in.';
COMMENT ON COLUMN sessions.secret_hash IS 'digest of the cookie, which is not kept';
COMMENT ON COLUMN sessions.token IS 'digest of the token on whose behalf it acts, and with which it ends';
COMMENT ON COLUMN sessions.created_at IS 'when it began';
COMMENT ON COLUMN sessions.expires_at IS 'from when on it is refused';

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit PRIMARY KEY,
    at timestamptz DEFAULT now() NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    project text NOT NULL,
    peer text NOT NULL,
    method text NOT NULL,
    subject text NOT NULL,
    request_id text NOT NULL,
    digest text NOT NULL,
    result text NOT NULL
);
COMMENT ON TABLE audit IS 'Calls that change something, and calls that were refused for who asked.';
COMMENT ON COLUMN audit.id IS 'order in which they were written';
COMMENT ON COLUMN audit.at IS 'when it was answered';
COMMENT ON COLUMN audit.actor IS 'the token''s name; empty: nobody knows';
COMMENT ON COLUMN audit.role IS 'the token''s role';
COMMENT ON COLUMN audit.project IS 'the token''s project';
COMMENT ON COLUMN audit.peer IS 'the address that it came from';
COMMENT ON COLUMN audit.method IS 'what was called';
COMMENT ON COLUMN audit.subject IS 'what it was about';
COMMENT ON COLUMN audit.request_id IS 'made by the client; empty: the method has none';
COMMENT ON COLUMN audit.digest IS 'of the message; empty: it was refused before it was read';
COMMENT ON COLUMN audit.result IS 'OK, or the code of the error';

CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows';
END
$$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
