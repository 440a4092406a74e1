-- The outbox: what has to be published, handed out once at a time, and what was published.
--
-- outbox, published: see migrations/0003_events.sql
-- %(lock)s           the number of the relays' advisory lock

-- name: lock
-- One relay works at a time: events of a user leave in the order of their rows. The lock ends with
-- the transaction, so that one which stands still is rid of it by the server's timeouts.
SELECT pg_try_advisory_xact_lock(%(lock)s)

-- name: take
-- The oldest rows, kept from everybody else until the transaction ends. There is no cursor to move
-- past a row: one whose transaction commits late is found by the next look. A row that an operator's
-- replay is just ending is waited for: a later one must not be told before it.
SELECT outbox_id, campaign_id, positions, created_at FROM outbox
WHERE published_at IS NULL
ORDER BY outbox_id
LIMIT %(rows)s
FOR UPDATE

-- name: issued
-- The events of rows taken, those of a request and a transaction in one row, which saves the client
-- two thirds of what a row for each would cost: in the order of the rows, then of first positions.
-- A position that is not ISSUED has no event; law L4 would name it. Each range is one step down the
-- primary key: a group cannot be joined by a look at the whole table.
SELECT r.campaign_id, i.requested_at, i.recorded_at, i.positions, i.users
FROM unnest(%(campaigns)s::bigint[], %(firsts)s::bigint[], %(ends)s::bigint[])
        WITH ORDINALITY AS r (campaign_id, first, "end", n)
    CROSS JOIN LATERAL (
        SELECT requested_at, recorded_at, array_agg(position ORDER BY position) AS positions,
            array_agg(user_id ORDER BY position) AS users
        FROM issuances
        WHERE campaign_id = r.campaign_id AND position >= r.first AND position < r."end"
            AND event_id IS NOT NULL
        GROUP BY requested_at, recorded_at
    ) AS i
ORDER BY r.n, i.positions[1]

-- name: judge
-- The oldest unpublished rows beyond one, and whether all their positions count as published. The
-- empty multirange makes a plain value of a packed one: it would be unpacked for each row anew.
WITH page AS MATERIALIZED (
    SELECT outbox_id, campaign_id, positions FROM outbox
    WHERE published_at IS NULL AND outbox_id > %(after)s
    ORDER BY outbox_id
    LIMIT %(rows)s
), known AS MATERIALIZED (
    SELECT campaign_id, positions + '{}'::int8multirange AS positions FROM published
    WHERE campaign_id IN (SELECT campaign_id FROM page)
)
SELECT outbox_id, coalesce(page.positions <@ known.positions, false)
FROM page LEFT JOIN known USING (campaign_id)
ORDER BY outbox_id

-- name: delete
DELETE FROM outbox WHERE outbox_id = ANY (%(rows)s::bigint[])

-- name: mark
UPDATE outbox SET published_at = now() WHERE outbox_id = ANY (%(rows)s::bigint[])

-- name: note
-- Remember what was published; ranges that touch become one.
INSERT INTO published AS p (campaign_id, positions)
SELECT r.campaign_id, range_agg(int8range(r.first, r."end"))
FROM unnest(%(campaigns)s::bigint[], %(firsts)s::bigint[], %(ends)s::bigint[])
    AS r (campaign_id, first, "end")
GROUP BY r.campaign_id
ORDER BY r.campaign_id
ON CONFLICT (campaign_id) DO UPDATE SET positions = p.positions + excluded.positions

-- name: forget
-- Rows that were kept long enough.
DELETE FROM outbox WHERE published_at < now() - make_interval(secs => %(seconds)s)

-- name: published
-- What was published of a campaign.
SELECT lower(r), upper(r) FROM published, unnest(positions) AS r
WHERE campaign_id = %(campaign_id)s
ORDER BY 1

-- name: hastily
-- A crash of the server may undo what this transaction does: said of an outbox that is done with,
-- it means that its events are published once more.
SET LOCAL synchronous_commit = off

-- name: end_of_log
-- Where the write-ahead log ends. Whoever has read to there has read every row committed before.
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint

-- name: heartbeat
-- Something for the write-ahead log, so that slots of a database in which nothing happens move on.
SELECT pg_logical_emit_message(false, 'firstcome', 'heartbeat')

-- name: overdue
-- Coupons whose events should have been seen by now, in how many rows, for how long the oldest has
-- waited (seconds), and of which campaigns.
SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint, count(DISTINCT o.outbox_id),
    coalesce(extract(epoch FROM now() - min(o.created_at)), 0)::float8,
    coalesce(array_agg(DISTINCT o.campaign_id), '{}')
FROM outbox AS o, unnest(o.positions) AS r
WHERE o.published_at IS NULL AND o.created_at < now() - make_interval(secs => %(seconds)s)
