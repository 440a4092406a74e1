-- What the operators' overview reads.
--
-- campaigns  an offer; the archived are left out
-- issuances  one row per position: ISSUED, UNDER_REVIEW or CANCELLED

-- name: ready
-- Fails unless the database answers and has been migrated.
SELECT count(*) FROM (SELECT 1 FROM campaigns LIMIT 1) AS any_campaign

-- name: waiting
-- Coupons whose events wait, in how many rows, for how long the oldest has (seconds); and how many
-- dead letters wait for a decision.
SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint, count(DISTINCT o.outbox_id),
    coalesce(extract(epoch FROM now() - min(o.created_at)), 0)::float8,
    (SELECT count(*) FROM dead_letters WHERE state = 'QUARANTINED')
FROM outbox AS o, unnest(o.positions) AS r
WHERE o.published_at IS NULL

-- name: campaigns
-- One row per campaign: what it is, then its rows by status. Rows are never deleted, so a look that
-- knows that every position up to a floor has its row counts only those beyond; dense_to is the
-- next look's floor. Rows of the two rarer statuses have an index each.
SELECT c.campaign_id, c.name, c.engine, c.state, c.stock, c.position_limit, c.epoch, c.version,
    b.rows, b.dense_to, r.under_review, d.cancelled
FROM campaigns AS c
    LEFT JOIN unnest(%(campaigns)s::bigint[], %(floors)s::bigint[]) AS f (campaign_id, floor)
        USING (campaign_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(f.floor, 0) + count(*) AS rows,
            coalesce(max(position) FILTER (WHERE position = coalesce(f.floor, 0) + n), f.floor, 0)
            AS dense_to
        FROM (
            SELECT position, row_number() OVER (ORDER BY position) AS n FROM issuances
            WHERE campaign_id = c.campaign_id AND position > coalesce(f.floor, 0)
        ) AS beyond
    ) AS b
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT i.position) AS under_review
        FROM dead_letters AS l JOIN issuances AS i USING (campaign_id, position)
        WHERE l.campaign_id = c.campaign_id AND l.state = 'QUARANTINED'
            AND i.status = 'UNDER_REVIEW'
    ) AS r
    CROSS JOIN LATERAL (
        SELECT count(*) AS cancelled FROM issuances
        WHERE campaign_id = c.campaign_id AND version IS NOT NULL AND status = 'CANCELLED'
    ) AS d
WHERE c.state <> 'ARCHIVED'
ORDER BY c.campaign_id

-- name: dead_letters
-- How many there are, by reason and state.
SELECT reason, state, count(*) FROM dead_letters GROUP BY reason, state

-- name: slots
-- Replication slots of this database: how much of the log each keeps (bytes), and whether it is lost.
-- One that is gone has no row here: relay_slots knows of it.
SELECT slot_name, coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn), 0)::bigint,
    wal_status = 'lost'
FROM pg_replication_slots WHERE database = current_database()

-- name: sessions
-- Sessions with this database, by what they do.
SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity
WHERE datname = current_database() GROUP BY 1

-- name: transactions
-- How long the oldest open transaction of another session with this database lasts (seconds).
SELECT coalesce(greatest(extract(epoch FROM now() - min(xact_start)), 0), 0)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
