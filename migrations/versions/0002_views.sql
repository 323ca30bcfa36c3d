-- The state as a person wants to read it in psql.

CREATE VIEW trial_overview AS
WITH RECURSIVE walk AS (
    SELECT study, trial, node, step AS stop FROM requests WHERE state = 'open'
    UNION ALL
    SELECT walk.study, walk.trial, nodes.parent, nodes.start
    FROM walk JOIN nodes ON nodes.id = walk.node
    WHERE nodes.trained <= nodes.start AND nodes.parent IS NOT NULL
), on_the_way AS (
    SELECT walk.study, walk.trial, max(least(nodes.trained, walk.stop)) AS step
    FROM walk JOIN nodes ON nodes.id = walk.node
    WHERE nodes.trained > nodes.start
    GROUP BY walk.study, walk.trial
), latest AS (
    SELECT DISTINCT ON (study, trial) study, trial, reached, value
    FROM requests WHERE sequence IS NOT NULL
    ORDER BY study, trial, reached DESC, sequence DESC
)
SELECT studies.project, studies.name AS study,
       trials.number & 4294967295 AS trial, trials.number >> 32 AS repeat, trials.state,
       greatest(latest.reached, on_the_way.step, 0) AS step, greatest(trials.max_steps, trials.wanted) AS max_steps,
       latest.value, trials.reason
FROM trials
JOIN studies ON studies.id = trials.study
LEFT JOIN latest ON latest.study = trials.study AND latest.trial = trials.number
LEFT JOIN on_the_way ON on_the_way.study = trials.study AND on_the_way.trial = trials.number
WHERE trials.number >> 48 = 0
ORDER BY studies.id, trials.number & 4294967295, trials.number;
COMMENT ON VIEW trial_overview IS 'Trials and their repeats: how far they are, and the first objective there.';

CREATE VIEW probe_overview AS
SELECT studies.project, studies.name AS study,
       trials.number & 4294967295 AS trial, trials.number >> 48 AS probe, trials.number >> 32 & 65535 AS repeat,
       (trials.fork ->> 'at')::bigint AS at, trials.max_steps AS until, trials.fork -> 'factors' AS factors,
       trials.state, latest.reached AS step, latest.value, trials.reason
FROM trials
JOIN studies ON studies.id = trials.study
LEFT JOIN LATERAL (
    SELECT reached, value FROM requests
    WHERE requests.study = trials.study AND requests.trial = trials.number AND sequence IS NOT NULL
    ORDER BY reached DESC, sequence DESC
    LIMIT 1
) latest ON true
WHERE trials.number >> 48 > 0
ORDER BY studies.id, trials.created;
COMMENT ON VIEW probe_overview IS
    'Probes of trials: from which step to which, under what, and what they came to. They are no trials.';

CREATE VIEW study_overview AS
SELECT studies.project, studies.name AS study, studies.state,
       counts.open, counts.completed, counts.stopped, counts.diverged, counts.failed,
       round(best.value::numeric, 5) AS best, studies.steps_trained AS trained,
       round((counts.steps + probed.steps) / nullif(studies.steps_trained, 0), 2) AS merge_rate,
       round(studies.seconds::numeric, 1) AS seconds
FROM studies
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE repeat = 0 AND state IN ('waiting', 'paused')) AS open,
           count(*) FILTER (WHERE repeat = 0 AND state = 'completed') AS completed,
           count(*) FILTER (WHERE repeat = 0 AND state = 'stopped') AS stopped,
           count(*) FILTER (WHERE repeat = 0 AND state = 'diverged') AS diverged,
           count(*) FILTER (WHERE repeat = 0 AND state = 'failed') AS failed,
           sum(step) AS steps
    FROM trial_overview
    WHERE trial_overview.project = studies.project AND trial_overview.study = studies.name
) counts ON true
LEFT JOIN LATERAL (
    SELECT avg(value) AS value FROM requests
    WHERE requests.study = studies.id AND requests.state = 'reached' AND value IS NOT NULL
      AND requests.trial >> 48 = 0
    GROUP BY requests.trial & 4294967295, reached
    HAVING count(DISTINCT requests.trial) = (studies.spec ->> 'repeats')::bigint
    ORDER BY reached DESC,
             CASE WHEN (studies.spec -> 'objectives' -> 0 ->> 'maximize')::boolean
                  THEN -avg(value) ELSE avg(value) END
    LIMIT 1
) best ON studies.spec -> 'constraints' ->> 0 IS NULL
LEFT JOIN LATERAL (
    SELECT coalesce(sum(greatest(step - at, 0)), 0) AS steps FROM probe_overview
    WHERE probe_overview.project = studies.project AND probe_overview.study = studies.name
) probed ON true
WHERE studies.deleted_at IS NULL
ORDER BY studies.id;
COMMENT ON VIEW study_overview IS
    'Studies: their trials, the best value, over repeats the mean, at the deepest step, and what sharing saved. '
    'Of a study with constraints no best value: what is feasible is not told here.';

CREATE VIEW stage_overview AS
SELECT nodes.plan, nodes.id AS node, nodes.parent, nodes.start, nodes.trained,
       wanted.until AS wanted, wanted.trials, running.slot AS running, kept.steps AS saved,
       round((nodes.seconds / nullif(nodes.steps, 0))::numeric, 3) AS step_seconds,
       nodes.steps - (nodes.trained - nodes.start) AS retrained,
       CASE WHEN nodes.not_reproducible IS NOT NULL
            THEN 'not reproducible at step ' || nodes.not_reproducible ELSE '' END AS remark
FROM nodes
LEFT JOIN LATERAL (
    SELECT max(step) AS until, count(*) AS trials FROM requests
    WHERE requests.node = nodes.id AND requests.state = 'open'
) wanted ON true
LEFT JOIN LATERAL (
    SELECT string_agg(leases.worker || '/' || leases.slot, ', ' ORDER BY leases.fence) AS slot
    FROM lease_stages JOIN leases ON leases.fence = lease_stages.fence
    WHERE lease_stages.node = nodes.id AND leases.state = 'training'
      AND lease_stages.trained < lease_stages.stop
) running ON true
LEFT JOIN LATERAL (
    SELECT string_agg(saved.step::text, ', ' ORDER BY saved.step) AS steps FROM (
        SELECT DISTINCT step FROM checkpoints
        WHERE checkpoints.node = nodes.id AND checkpoints.state = 'kept'
    ) saved
) kept ON true
ORDER BY nodes.plan, nodes.id;
COMMENT ON VIEW stage_overview IS 'Nodes: what is trained, wanted, running and saved.';

CREATE VIEW worker_overview AS
SELECT workers.name AS worker, workers.state, slots.slot, slots.device, slots.model,
       studies.name AS study, probed.trial AS probe_of, leases.fence, progress.node, progress.step,
       date_trunc('second', now() - leases.granted_at) AS running_for
FROM workers
LEFT JOIN slots ON slots.worker = workers.name
LEFT JOIN leases ON leases.worker = slots.worker AND leases.slot = slots.slot AND leases.state = 'training'
LEFT JOIN studies ON studies.id = leases.study
LEFT JOIN LATERAL (
    SELECT node, trained AS step FROM lease_stages
    WHERE lease_stages.fence = leases.fence AND trained < stop
    ORDER BY ordinal LIMIT 1
) progress ON true
LEFT JOIN LATERAL (
    WITH RECURSIVE below AS (
        SELECT progress.node AS node
        UNION ALL
        SELECT nodes.id FROM nodes JOIN below ON nodes.parent = below.node
    )
    SELECT CASE WHEN bool_and(requests.trial >> 48 > 0) THEN min(requests.trial & 4294967295) END AS trial
    FROM below
    JOIN requests ON requests.node = below.node AND requests.study = leases.study AND requests.state = 'open'
) probed ON true
ORDER BY workers.name, slots.slot;
COMMENT ON VIEW worker_overview IS
    'Slots of workers, and what they train; where only probes need it, a trial whose probe it is.';
