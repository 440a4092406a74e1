-- What the doctor asks PostgreSQL. Reads only.
--
-- pg_settings, pg_stat_activity: the server's own; outbox: see migrations/0001_initial.sql;
-- alembic_version: one row, the revision of the tables.

-- name: settings
SELECT name, setting FROM pg_settings
WHERE name IN ('server_version', 'server_version_num', 'fsync', 'full_page_writes',
    'synchronous_commit', 'track_commit_timestamp', 'max_connections',
    'superuser_reserved_connections')

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8

-- name: connections
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'

-- name: has_revision
SELECT to_regclass('alembic_version') IS NOT NULL

-- name: revision
SELECT coalesce(max(version_num), 'none') FROM alembic_version

-- name: outbox
-- Coupons whose events wait for a relay, and for how long the oldest has (seconds).
SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint,
    coalesce(extract(epoch FROM now() - min(o.created_at)), 0)::float8
FROM outbox AS o, unnest(o.positions) AS r
WHERE o.published_at IS NULL
