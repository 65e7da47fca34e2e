"""The statements, and why each leaves what MLflow's store leaves.

Rows come as one JSON text, whose numbers Postgres reads to the same doubles as MLflow's. `place`
keeps their order: rows that MLflow reads back without an order come as they were written.

`run` is MLflow's `_get_run` and `_check_run_is_active`: without a row in it nothing is written, and
the statement answers no row.
"""

_RUN = """
run AS (
    SELECT run_uuid FROM runs WHERE run_uuid = %(run)s AND lifecycle_stage = 'active'
)"""

LOG_METRICS = f"""
WITH {_RUN},
given AS (
    SELECT * FROM ROWS FROM (
        json_to_recordset(%(rows)s)
        AS (key text, value float8, timestamp bigint, step bigint, is_nan boolean)
    ) WITH ORDINALITY AS given (key, value, timestamp, step, is_nan, place)
),
logged AS (
    INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)
    SELECT run_uuid, key, value, timestamp, step, is_nan FROM run, given ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING run_uuid, key, value, timestamp, step, is_nan
),
newest AS (
    SELECT DISTINCT ON (key) logged.*, min(place) OVER (PARTITION BY key) AS place
    FROM logged JOIN given USING (key, value, timestamp, step, is_nan)
    ORDER BY key, step DESC, timestamp DESC, value DESC, given.place
),
latest AS (
    INSERT INTO latest_metrics AS latest (run_uuid, key, value, timestamp, step, is_nan)
    SELECT run_uuid, key, newest.value, newest.timestamp, newest.step, newest.is_nan
    FROM newest LEFT JOIN latest_metrics AS known USING (run_uuid, key)
    ORDER BY known.key, place
    ON CONFLICT (key, run_uuid) DO UPDATE SET
        value = excluded.value,
        timestamp = excluded.timestamp,
        step = excluded.step,
        is_nan = excluded.is_nan
    WHERE (excluded.step, excluded.timestamp, excluded.value)
        > (latest.step, latest.timestamp, latest.value)
)
SELECT 1 FROM run"""
"""`_log_metrics_once`: a metric that is there already is left out, as after its `IntegrityError`.

Of the others `_update_latest_metrics_if_necessary` keeps the greatest by step, timestamp and value,
the first one of equals, and lets it replace only a lesser one. It locks the keys that exist in
their order, and inserts the new ones in the order of the request; so does this.
"""

LOG_PARAMS = f"""
WITH {_RUN},
given AS (
    SELECT * FROM ROWS FROM (json_to_recordset(%(rows)s) AS (key text, value text))
    WITH ORDINALITY AS given (key, value, place)
),
logged AS (
    INSERT INTO params (run_uuid, key, value)
    SELECT run_uuid, key, value FROM run, given ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT
    (SELECT count(*) FROM logged)
    + (SELECT count(*) FROM params JOIN given USING (key, value) WHERE params.run_uuid = %(run)s)
FROM run"""
"""`_log_params`: one that is there already must have the same value.

It answers how many are as they were given. Those that it writes itself it does not yet see.
"""

SET_TAGS = f"""
WITH {_RUN},
given AS (
    SELECT * FROM ROWS FROM (json_to_recordset(%(rows)s) AS (key text, value text))
    WITH ORDINALITY AS given (key, value, place)
),
kept AS (
    INSERT INTO tags AS tag (run_uuid, key, value)
    SELECT run_uuid, key, given.value
    FROM run CROSS JOIN given LEFT JOIN tags AS known USING (run_uuid, key)
    ORDER BY known.key, place
    ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value
    WHERE tag.value IS DISTINCT FROM excluded.value
)
SELECT 1 FROM run"""
"""`_set_tags`: the last value stays, and the object mapper writes only what has changed.

Keys come once each. Those that exist are taken in their order, as by the object mapper.
"""

EXPERIMENT = """
SELECT artifact_location FROM experiments
WHERE experiment_id = %(experiment)s AND lifecycle_stage = 'active'"""
"""`get_experiment` and `_check_experiment_is_active`, for the one value that a run takes of it."""

CREATE_RUN = """
WITH run AS (
    INSERT INTO runs (
        run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
        source_version, lifecycle_stage, artifact_uri, experiment_id
    )
    VALUES (
        %(run)s, %(name)s, 'UNKNOWN', '', '', %(user)s, 'RUNNING', %(start)s,
        '', 'active', %(artifacts)s, %(experiment)s
    )
    RETURNING run_uuid
)
INSERT INTO tags (run_uuid, key, value)
SELECT run_uuid, key, value
FROM run, ROWS FROM (json_to_recordset(%(rows)s) AS (key text, value text))
    WITH ORDINALITY AS given (key, value, place)
ORDER BY place"""
"""`create_run`: the constants are those of its `SqlRun`; what is not named is null there too."""

_BELONGINGS = """
    (
        SELECT json_agg(json_build_array(key, value, timestamp, step, is_nan))::text
        FROM latest_metrics AS each WHERE each.run_uuid = run.run_uuid
    ) AS metrics,
    (
        SELECT json_agg(json_build_array(key, value))::text
        FROM params AS each WHERE each.run_uuid = run.run_uuid
    ) AS params,
    (
        SELECT json_agg(json_build_array(key, value))::text
        FROM tags AS each WHERE each.run_uuid = run.run_uuid
    ) AS tags,
    EXISTS (
        SELECT FROM inputs WHERE destination_type = 'RUN' AND destination_id = run.run_uuid
    )
    OR EXISTS (
        SELECT FROM inputs
        WHERE source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND source_id = run.run_uuid
    ) AS linked"""
"""What `_get_eager_run_query_options` loads, and whether MLflow has to be asked for more.

Postgres writes a double with the digits that make it the same double again.
"""

GET_RUN = f"""
SELECT
    run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri,
    experiment_id,{_BELONGINGS}
FROM runs AS run WHERE run_uuid = %(run)s"""
"""`_get_run`, with the columns that `SqlRun.to_mlflow_entity` reads."""

BELONGINGS = f"""
SELECT
    run_uuid,{_BELONGINGS}
FROM unnest(%(runs)s::text[]) AS run (run_uuid)"""
"""The same of many runs."""
