-- What is searched: studies, their trials, and the states that those need.

CREATE TABLE studies (
    id bigint CONSTRAINT pk_studies PRIMARY KEY,
    project text NOT NULL CONSTRAINT fk_studies_project REFERENCES projects,
    name text NOT NULL,
    submitted_by text NOT NULL,
    program text NOT NULL CONSTRAINT fk_studies_program REFERENCES programs,
    spec json NOT NULL,
    state text NOT NULL,
    reason text DEFAULT '' NOT NULL,
    plan bigint CONSTRAINT fk_studies_plan REFERENCES plans,
    planned bigint,
    bound boolean DEFAULT false NOT NULL,
    steps_trained bigint DEFAULT 0 NOT NULL,
    steps_retrained bigint DEFAULT 0 NOT NULL,
    seconds double precision DEFAULT 0 NOT NULL,
    ran_seconds double precision DEFAULT 0 NOT NULL,
    exhausted bigint DEFAULT 0 NOT NULL,
    ending text DEFAULT '' NOT NULL,
    ending_reason text DEFAULT '' NOT NULL,
    asked json,
    judged json,
    created_at timestamptz DEFAULT now() NOT NULL,
    ended_at timestamptz,
    points_wanted_at timestamptz,
    deleted_at timestamptz,
    last_sequence bigint,
    CONSTRAINT ck_studies_state CHECK (state IN ('running', 'paused', 'stopped', 'completed', 'failed')),
    CONSTRAINT ck_studies_steps CHECK (steps_retrained BETWEEN 0 AND steps_trained)
);
CREATE UNIQUE INDEX uq_studies_name ON studies (project, name) WHERE deleted_at IS NULL;
COMMENT ON TABLE studies IS 'Searches. A deleted one keeps its row, so that its number is never given again.';
COMMENT ON COLUMN studies.id IS 'its number';
COMMENT ON COLUMN studies.project IS 'whose';
COMMENT ON COLUMN studies.name IS 'unique within the project, deleted studies apart';
COMMENT ON COLUMN studies.submitted_by IS 'the user whose token submitted it';
COMMENT ON COLUMN studies.program IS 'what it trains';
COMMENT ON COLUMN studies.spec IS 'the whole specification, as last changed';
COMMENT ON COLUMN studies.state IS 'running, paused, stopped, completed or failed';
COMMENT ON COLUMN studies.reason IS 'why it is in this state';
COMMENT ON COLUMN studies.plan IS 'where its trials are planned';
COMMENT ON COLUMN studies.planned IS 'journal id of that decision';
COMMENT ON COLUMN studies.bound IS 'whether a lease has settled the plan';
COMMENT ON COLUMN studies.steps_trained IS 'steps trained while it had a request open on them';
COMMENT ON COLUMN studies.steps_retrained IS 'those of them that had been trained before';
COMMENT ON COLUMN studies.seconds IS 'slot seconds of its steps';
COMMENT ON COLUMN studies.ran_seconds IS 'how long it has been running';
COMMENT ON COLUMN studies.exhausted IS 'how many points its space has, where all are trials';
COMMENT ON COLUMN studies.ending IS 'which of its endings holds; empty: none';
COMMENT ON COLUMN studies.ending_reason IS 'why, in words and numbers';
COMMENT ON COLUMN studies.asked IS 'what its terminator was asked last';
COMMENT ON COLUMN studies.judged IS 'what that has said; none: it is still to';
COMMENT ON COLUMN studies.created_at IS 'when it was submitted';
COMMENT ON COLUMN studies.ended_at IS 'when it last ended';
COMMENT ON COLUMN studies.points_wanted_at IS 'since when it wants points from outside; none: it wants none';
COMMENT ON COLUMN studies.deleted_at IS 'when it was deleted; its trials and requests are gone';
COMMENT ON COLUMN studies.last_sequence IS 'of a deleted study: the highest sequence of its requests';

CREATE TABLE study_specs (
    since bigint CONSTRAINT pk_study_specs PRIMARY KEY,
    study bigint NOT NULL CONSTRAINT fk_study_specs_study REFERENCES studies,
    spec json NOT NULL,
    differences json NOT NULL
);
CREATE INDEX ix_study_specs_study ON study_specs (study);
COMMENT ON TABLE study_specs IS
    'How studies were submitted, extended and edited; what was drawn, and policies, follow this order.';
COMMENT ON COLUMN study_specs.since IS 'journal id of the decision';
COMMENT ON COLUMN study_specs.study IS 'the study';
COMMENT ON COLUMN study_specs.spec IS 'the whole specification from then on';
COMMENT ON COLUMN study_specs.differences IS 'lines: what had changed; empty at its submission';

CREATE TABLE trials (
    study bigint NOT NULL CONSTRAINT fk_trials_study REFERENCES studies,
    number bigint NOT NULL,
    assignment json NOT NULL,
    first_max_steps bigint NOT NULL,
    max_steps bigint NOT NULL,
    wanted bigint DEFAULT 0 NOT NULL,
    state text NOT NULL,
    reason text DEFAULT '' NOT NULL,
    created bigint NOT NULL,
    notes json NOT NULL,
    fork json,
    enqueued boolean NOT NULL,
    CONSTRAINT pk_trials PRIMARY KEY (study, number),
    CONSTRAINT ck_trials_max_steps CHECK (max_steps >= first_max_steps AND first_max_steps > 0),
    CONSTRAINT ck_trials_state CHECK (
        state IN ('waiting', 'running', 'paused', 'completed', 'stopped', 'diverged', 'failed')
    )
);
COMMENT ON TABLE trials IS 'Points of studies, and probes of them: a sequence each, and how far to train it.';
COMMENT ON COLUMN trials.study IS 'the study';
COMMENT ON COLUMN trials.number IS
    'from 0, within the study; which repeat of it stands above the 32nd bit, which probe above the 48th';
COMMENT ON COLUMN trials.assignment IS 'a value for each domain drawn';
COMMENT ON COLUMN trials.first_max_steps IS 'how far it might be trained at first';
COMMENT ON COLUMN trials.max_steps IS 'how far it may be trained now';
COMMENT ON COLUMN trials.wanted IS
    'how far a user wants it trained, whatever its policy; 0: no further than that';
COMMENT ON COLUMN trials.state IS 'waiting, paused, completed, stopped, diverged or failed';
COMMENT ON COLUMN trials.reason IS 'why it is in this state';
COMMENT ON COLUMN trials.created IS 'journal id of its creation';
COMMENT ON COLUMN trials.notes IS 'what its sampler wants to find again with it';
COMMENT ON COLUMN trials.fork IS
    'its parent, the step, and its hyper-parameters; none: it is neither fork nor probe';
COMMENT ON COLUMN trials.enqueued IS 'whether its point is a user''s, not the sampler''s';

CREATE TABLE proposals (
    study bigint NOT NULL CONSTRAINT fk_proposals_study REFERENCES studies,
    trial bigint NOT NULL,
    sequence bigint NOT NULL,
    pending json NOT NULL,
    max_steps bigint,
    failures bigint DEFAULT 0 NOT NULL,
    reason text DEFAULT '' NOT NULL,
    CONSTRAINT pk_proposals PRIMARY KEY (study, trial)
);
COMMENT ON TABLE proposals IS
    'Points that samplers were asked for. One without a trial is still waited for.';
COMMENT ON COLUMN proposals.study IS 'the study';
COMMENT ON COLUMN proposals.trial IS 'the number of the trial';
COMMENT ON COLUMN proposals.sequence IS 'of the last request whose end its sampler may see';
COMMENT ON COLUMN proposals.pending IS 'the trials that had open requests when it was wanted';
COMMENT ON COLUMN proposals.max_steps IS
    'how far trials were to be trained then; none: as their schedules say';
COMMENT ON COLUMN proposals.failures IS 'how often its sampler has failed to make it';
COMMENT ON COLUMN proposals.reason IS 'why it failed last';

CREATE TABLE policy_answers (
    study bigint NOT NULL CONSTRAINT fk_policy_answers_study REFERENCES studies,
    number bigint NOT NULL,
    mark bigint NOT NULL,
    max_trials bigint NOT NULL,
    finish boolean NOT NULL,
    CONSTRAINT pk_policy_answers PRIMARY KEY (study, number)
);
COMMENT ON TABLE policy_answers IS
    'What users'' own policies have answered, and from what: they are told the same once more after a loss.';
COMMENT ON COLUMN policy_answers.study IS 'the study';
COMMENT ON COLUMN policy_answers.number IS 'how many came before';
COMMENT ON COLUMN policy_answers.mark IS 'of how much of the study''s history it was told';
COMMENT ON COLUMN policy_answers.max_trials IS 'how many trials there were to be in all';
COMMENT ON COLUMN policy_answers.finish IS 'whether no trial was on its way or to come';

CREATE TABLE policy_failures (
    study bigint NOT NULL CONSTRAINT fk_policy_failures_study REFERENCES studies,
    number bigint NOT NULL,
    failures bigint DEFAULT 0 NOT NULL,
    reason text DEFAULT '' NOT NULL,
    CONSTRAINT pk_policy_failures PRIMARY KEY (study, number)
);
COMMENT ON TABLE policy_failures IS
    'Answers that users'' own policies failed to give. One without an answer is still waited for.';
COMMENT ON COLUMN policy_failures.study IS 'the study';
COMMENT ON COLUMN policy_failures.number IS 'the answer that did not come';
COMMENT ON COLUMN policy_failures.failures IS 'how often its policy has failed to give it';
COMMENT ON COLUMN policy_failures.reason IS 'why it failed last';

CREATE TABLE trial_limits (
    raised bigint CONSTRAINT pk_trial_limits PRIMARY KEY,
    study bigint NOT NULL,
    trial bigint NOT NULL,
    max_steps bigint NOT NULL,
    CONSTRAINT fk_trial_limits_study_trial FOREIGN KEY (study, trial) REFERENCES trials
);
CREATE INDEX ix_trial_limits_study ON trial_limits (study);
COMMENT ON TABLE trial_limits IS
    'When trials were allowed to be trained further; policies see it in this order.';
COMMENT ON COLUMN trial_limits.raised IS 'journal id of the decision';
COMMENT ON COLUMN trial_limits.study IS 'the study';
COMMENT ON COLUMN trial_limits.trial IS 'the trial';
COMMENT ON COLUMN trial_limits.max_steps IS 'how far it might be trained from then on';

CREATE TABLE trial_stops (
    stopped bigint CONSTRAINT pk_trial_stops PRIMARY KEY,
    study bigint NOT NULL,
    trial bigint NOT NULL,
    CONSTRAINT fk_trial_stops_study_trial FOREIGN KEY (study, trial) REFERENCES trials
);
CREATE INDEX ix_trial_stops_study ON trial_stops (study);
COMMENT ON TABLE trial_stops IS 'When users stopped single trials; policies see it in this order.';
COMMENT ON COLUMN trial_stops.stopped IS 'journal id of the decision';
COMMENT ON COLUMN trial_stops.study IS 'the study';
COMMENT ON COLUMN trial_stops.trial IS 'the trial';

CREATE TABLE requests (
    opened bigint CONSTRAINT pk_requests PRIMARY KEY,
    study bigint NOT NULL,
    trial bigint NOT NULL,
    step bigint NOT NULL,
    node bigint NOT NULL CONSTRAINT fk_requests_node REFERENCES nodes,
    by_user boolean NOT NULL,
    state text NOT NULL,
    closed bigint CONSTRAINT uq_requests_closed UNIQUE,
    sequence bigint CONSTRAINT uq_requests_sequence UNIQUE,
    reached bigint,
    value double precision,
    CONSTRAINT fk_requests_study_trial FOREIGN KEY (study, trial) REFERENCES trials,
    CONSTRAINT ck_requests_closed CHECK ((state = 'open') = (closed IS NULL)),
    CONSTRAINT ck_requests_reached CHECK (sequence IS NULL OR reached IS NOT NULL),
    CONSTRAINT ck_requests_state CHECK (
        state IN ('open', 'reached', 'diverged', 'infeasible', 'failed', 'cancelled')
    ),
    CONSTRAINT ck_requests_step CHECK (step > 0)
);
CREATE INDEX ix_requests_open_node ON requests (node) WHERE state = 'open';
CREATE INDEX ix_requests_study_trial ON requests (study, trial);
CREATE UNIQUE INDEX uq_requests_open ON requests (study, trial) WHERE state = 'open';
COMMENT ON TABLE requests IS 'States that trials need.';
COMMENT ON COLUMN requests.opened IS 'journal id of its opening';
COMMENT ON COLUMN requests.study IS 'the study';
COMMENT ON COLUMN requests.trial IS 'the trial';
COMMENT ON COLUMN requests.step IS 'the state that it needs';
COMMENT ON COLUMN requests.node IS 'the node that trains it';
COMMENT ON COLUMN requests.by_user IS 'whether it is a user''s word, not the policy''s';
COMMENT ON COLUMN requests.state IS 'open, reached, diverged, failed or cancelled';
COMMENT ON COLUMN requests.closed IS 'journal id of its end';
COMMENT ON COLUMN requests.sequence IS 'order of arrival; none: open, or replaced by a further one';
COMMENT ON COLUMN requests.reached IS 'the trial''s step at its end';
COMMENT ON COLUMN requests.value IS 'the first objective there; none: not known or not finite';
