-- What is looked at each second while a run is measured. Reads only.
--
-- pg_stat_database  counters of our database since the server's start
-- pg_stat_activity  one row a session; `backend_type` keeps the server's own processes out, the
--                   names those who measure
-- %(ids)s           an array of campaign numbers

-- name: counters
SELECT xact_commit, xact_rollback, deadlocks,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
FROM pg_stat_database WHERE datname = current_database()

-- name: sessions
SELECT coalesce(state, 'unknown'), count(*), count(*) FILTER (WHERE wait_event_type = 'Lock')
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
    AND application_name NOT IN ('firstcome-bench', 'firstcome-drop')
GROUP BY 1

-- name: events_waiting
SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
FROM outbox AS o, unnest(o.positions) AS r WHERE o.published_at IS NULL

-- name: campaigns
-- The highest recorded position of each campaign, one step down the primary key.
SELECT c.campaign_id, c.epoch, c.engine,
    coalesce((SELECT max(position) FROM issuances AS i WHERE i.campaign_id = c.campaign_id), 0)
FROM campaigns AS c
WHERE c.campaign_id = ANY (%(ids)s::bigint[])
