-- Replication slots and publications of the relays that follow the write-ahead log.
--
-- relay_slots                             slots that were made: see migrations/0003_events.sql
-- pg_replication_slots, pg_publication    the server's own; slots belong to the server, not to a database
-- publication firstcome_events            rows that became ISSUED: inserted so, or redriven
-- publication firstcome_outbox            rows of the outbox as they come, never as they go
-- %(slot)s, %(mode)s                      a slot's name, and which relay it is for

-- name: lock
-- One command at a time; ends with the session.
SELECT pg_advisory_lock(%(lock)s)

-- name: server
-- wal_level, how much log a slot may keep (bytes; -1: no bound), version.
SELECT current_setting('wal_level'),
    CASE WHEN s.setting = '-1' THEN -1 ELSE pg_size_bytes(s.setting || s.unit) END,
    current_setting('server_version_num')::integer / 10000
FROM pg_settings AS s WHERE s.name = 'max_slot_wal_keep_size'

-- name: slot
-- A slot as it was made and as it is; null where it is not there. Bytes that it keeps, and that may
-- still be written before it is lost.
SELECT made.made_at, s.database, s.database = current_database() AND s.plugin = 'pgoutput',
    s.active_pid, s.wal_status, s.invalidation_reason, s.confirmed_flush_lsn::text, s.failover,
    pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint, s.safe_wal_size
FROM (SELECT %(slot)s::text AS slot_name) AS asked
    LEFT JOIN relay_slots AS made USING (slot_name)
    LEFT JOIN pg_replication_slots AS s USING (slot_name)

-- name: standbys
-- Slots of standbys that a slot with failover is never told ahead of: whether each is there, is a
-- standby's, still has its write-ahead log, and is read.
SELECT name, coalesce(s.slot_type = 'physical' AND s.wal_status IS DISTINCT FROM 'lost', false),
    coalesce(s.active, false)
FROM unnest(string_to_array(
        translate(current_setting('synchronized_standby_slots', true), ' "', ''), ',')) AS name
    LEFT JOIN pg_replication_slots AS s ON s.slot_name = name
WHERE name <> ''

-- name: create
-- It outlives the server's failover where a standby keeps its slots in step.
SELECT pg_create_logical_replication_slot(%(slot)s, 'pgoutput', failover => true)

-- name: remember
INSERT INTO relay_slots (slot_name, mode) VALUES (%(slot)s, %(mode)s)
ON CONFLICT (slot_name) DO UPDATE SET mode = excluded.mode, made_at = now()

-- name: drop
SELECT pg_drop_replication_slot(%(slot)s)

-- name: forget
DELETE FROM relay_slots WHERE slot_name = %(slot)s

-- name: made
-- Every slot that was made, with the relay that it is for.
SELECT slot_name, mode FROM relay_slots ORDER BY slot_name

-- name: publications
-- Which of the two publications are there, as they are made below.
SELECT p.pubname FROM pg_publication AS p
WHERE NOT p.puballtables AND p.pubinsert AND (p.pubname, p.pubupdate, (
        SELECT array_agg(t.tablename::text || coalesce(' ' || t.rowfilter, ''))
        FROM pg_publication_tables AS t WHERE t.pubname = p.pubname)) IN (
    ('firstcome_events', true, '{issuances (event_id IS NOT NULL)}'),
    ('firstcome_outbox', false, '{outbox}'))
    AND (p.pubname = 'firstcome_outbox' OR coalesce(to_jsonb(p) ->> 'pubgencols', 's') = 's'
        AND 'f' = (SELECT relreplident FROM pg_class WHERE oid = 'issuances'::regclass))

-- name: identify
-- A publication may filter updates only by columns of the replica identity. Rows are hardly ever
-- updated, and inserts write no identity: what this costs is the old row of each redrive.
ALTER TABLE issuances REPLICA IDENTITY FULL

-- name: unidentify
ALTER TABLE issuances REPLICA IDENTITY DEFAULT

-- name: publish_events
-- An update is told as an insert where the old row did not pass the filter. The generated column is
-- part of the replica identity: a server that knows the option wants all of it published.
CREATE PUBLICATION firstcome_events FOR TABLE issuances WHERE (event_id IS NOT NULL)
    WITH (publish = 'insert, update', publish_generated_columns = 'stored')

-- name: publish_outbox
CREATE PUBLICATION firstcome_outbox FOR TABLE outbox WITH (publish = 'insert')

-- name: unpublish_events
DROP PUBLICATION IF EXISTS firstcome_events

-- name: unpublish_outbox
DROP PUBLICATION IF EXISTS firstcome_outbox
