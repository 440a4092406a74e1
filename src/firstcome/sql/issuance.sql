-- What becomes of claims: recorded, looked up, cancelled, quarantined.
--
-- Lists travel as one text each ('{1,2}', or words with a space between them and records with a
-- newline between them): dumping them element by element costs the client more than all the rest.
--
-- firsts, epochs, times   one element a record: first position, epoch, seconds since 1970 (0: unknown)
-- users, attempts         one line a record, one word a claim; an empty line of attempts: all 0
-- positions               one element a claim

-- name: lock_campaigns
-- Hold off a rebuild, and nobody else, until the transaction ends. Always in the order of the ids.
-- A lock that had to wait returns the row as it is then, so the current epoch may be read here.
SELECT campaign_id, epoch FROM campaigns
WHERE campaign_id = ANY (%(campaigns)s::bigint[])
ORDER BY campaign_id
FOR KEY SHARE

-- name: read_epochs
-- A statement of its own, after the lock: in the same one it would see the time before the lock.
SELECT campaign_id, epoch, last_position FROM epochs
WHERE campaign_id = ANY (%(campaigns)s::bigint[]) AND epoch = ANY (%(epochs)s::integer[])

-- name: record
-- Insert what is not there yet, announce exactly that in one outbox row, and return its count.
WITH recorded AS (
    INSERT INTO issuances
        (campaign_id, position, requested_at, epoch, attempt, status, user_id)
    SELECT %(campaign_id)s, r.first_position + c.n - 1, to_timestamp(nullif(r.requested_at, 0)), r.epoch,
        coalesce(c.attempt, 0), 'ISSUED', c.user_id
    FROM unnest(%(firsts)s::bigint[], %(epochs)s::integer[], %(times)s::float8[],
            string_to_array(%(users)s, E'\n'), string_to_array(%(attempts)s, E'\n'))
            AS r (first_position, epoch, requested_at, users, attempts)
        CROSS JOIN LATERAL
            unnest(string_to_array(r.users, ' '), string_to_array(r.attempts, ' ')::integer[])
            WITH ORDINALITY AS c (user_id, attempt, n)
    ON CONFLICT DO NOTHING
    RETURNING position
), announced AS (
    INSERT INTO outbox (campaign_id, positions)
    SELECT %(campaign_id)s, range_agg(int8range(position, position + 1)) FROM recorded
    HAVING count(*) > 0
)
SELECT count(*) FROM recorded

-- name: look_up
-- Of the claims sent, those that do not stand as ISSUED: what is at the position instead (null:
-- nothing), whether it is the user's own, and where else the user is in (null: nowhere).
SELECT DISTINCT c.position, c.user_id, here.status, here.user_id = c.user_id, elsewhere.position
FROM unnest(%(positions)s::bigint[], string_to_array(%(users)s, ' ')) AS c (position, user_id)
    LEFT JOIN issuances AS here
        ON here.campaign_id = %(campaign_id)s AND here.position = c.position
    LEFT JOIN issuances AS elsewhere
        ON elsewhere.campaign_id = %(campaign_id)s AND elsewhere.user_id = c.user_id
        AND elsewhere.status <> 'CANCELLED'
WHERE (here.status = 'ISSUED' AND here.user_id = c.user_id) IS NOT TRUE
ORDER BY c.position

-- name: cancel
-- Cancel by insert: whoever inserts the position first has decided it. Gives the units back in the
-- same step, and returns the positions cancelled. Does nothing when the epoch is over.
WITH campaign AS (
    SELECT campaign_id, epoch, version + 1 AS version FROM campaigns
    WHERE campaign_id = %(campaign_id)s AND epoch = %(epoch)s
    FOR NO KEY UPDATE
), cancelled AS (
    INSERT INTO issuances (campaign_id, position, version, epoch, status, user_id, reason)
    SELECT campaign.campaign_id, c.position, campaign.version, campaign.epoch, 'CANCELLED',
        nullif(c.user_id, ''), %(reason)s
    FROM campaign CROSS JOIN
        unnest(%(positions)s::bigint[], string_to_array(%(users)s, ' ')) AS c (position, user_id)
    ON CONFLICT (campaign_id, position) DO NOTHING
    RETURNING position
), raised AS (
    UPDATE campaigns
    SET position_limit = position_limit + given_back.units, version = version + 1
    FROM (SELECT count(*) AS units FROM cancelled) AS given_back
    WHERE campaign_id = %(campaign_id)s AND given_back.units > 0
)
SELECT position FROM cancelled ORDER BY position

-- name: rows_at
-- What is at these positions now.
SELECT position, user_id, status FROM issuances
WHERE campaign_id = %(campaign_id)s AND position = ANY (%(positions)s::bigint[])
ORDER BY position

-- name: quarantine
-- Keep the place for its user until an operator decides. Returns whether this made the row.
INSERT INTO issuances (campaign_id, position, requested_at, epoch, attempt, status, user_id)
VALUES (%(campaign_id)s, %(position)s, to_timestamp(%(requested_at)s::float8), %(epoch)s,
    %(attempt)s, 'UNDER_REVIEW', %(user_id)s)
ON CONFLICT DO NOTHING
RETURNING true

-- name: dead_letter
-- Set a claim or a record aside; the same origin is set aside once. Returns whether this did it.
INSERT INTO dead_letters (campaign_id, epoch, position, user_id, attempt, requested_at, topic,
    partition, "offset", reason, detail, payload, attempts)
VALUES (%(campaign_id)s, %(epoch)s, %(position)s, %(user_id)s, %(attempt)s,
    to_timestamp(%(requested_at)s::float8), %(topic)s, %(partition)s, %(offset)s, %(reason)s,
    %(detail)s, %(payload)s, %(attempts)s)
ON CONFLICT DO NOTHING
RETURNING true
