-- Dead letters as operators see and decide them, and their way to the topic.
--
-- dead_letters, issuances, outbox, campaigns: see migrations/0001_initial.sql and 0002. Columns of a
-- dead letter always come in the order of issuance/letter.py. Decisions are conditional: a row
-- changes only while it is UNDER_REVIEW, a letter only while it is QUARANTINED.

-- name: list
-- The next letters after a number, oldest first; null: whatever it is.
SELECT dead_letter_id, state, campaign_id, epoch, position, user_id, attempt,
    extract(epoch FROM requested_at)::float8, topic, partition, "offset", reason, detail, payload,
    attempts, created_at, decided_at, published_at
FROM dead_letters
WHERE dead_letter_id > %(after)s
    AND (%(state)s::text IS NULL OR state = %(state)s::text)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s::text)
    AND (%(campaign_id)s::bigint IS NULL OR campaign_id = %(campaign_id)s::bigint)
ORDER BY dead_letter_id LIMIT %(rows)s

-- name: show
SELECT dead_letter_id, state, campaign_id, epoch, position, user_id, attempt,
    extract(epoch FROM requested_at)::float8, topic, partition, "offset", reason, detail, payload,
    attempts, created_at, decided_at, published_at
FROM dead_letters WHERE dead_letter_id = %(dead_letter_id)s

-- name: lock
-- One letter, kept from other decisions until the transaction ends.
SELECT dead_letter_id, state, campaign_id, epoch, position, user_id, attempt,
    extract(epoch FROM requested_at)::float8, topic, partition, "offset", reason, detail, payload,
    attempts, created_at, decided_at, published_at
FROM dead_letters WHERE dead_letter_id = %(dead_letter_id)s
FOR UPDATE

-- name: issue
-- Make a claim under review ISSUED: outbox and version follow the row really changed. Returns the
-- campaign's new version, or nothing.
WITH campaign AS (
    SELECT campaign_id, version + 1 AS version FROM campaigns
    WHERE campaign_id = %(campaign_id)s
    FOR NO KEY UPDATE
), issued AS (
    UPDATE issuances SET status = 'ISSUED', version = campaign.version, recorded_at = now()
    FROM campaign
    WHERE issuances.campaign_id = campaign.campaign_id AND position = %(position)s
        AND user_id = %(user_id)s AND status = 'UNDER_REVIEW'
    RETURNING position
), announced AS (
    INSERT INTO outbox (campaign_id, positions)
    SELECT %(campaign_id)s, range_agg(int8range(position, position + 1)) FROM issued
    HAVING count(*) > 0
    RETURNING pg_notify('firstcome_outbox', '')
), raised AS (
    UPDATE campaigns SET version = version + 1
    WHERE campaign_id = %(campaign_id)s AND EXISTS (SELECT FROM issued)
)
SELECT campaign.version FROM campaign, issued

-- name: discard
-- Cancel a claim under review and give its unit back. Returns the campaign's new version, or nothing.
WITH campaign AS (
    SELECT campaign_id, version + 1 AS version FROM campaigns
    WHERE campaign_id = %(campaign_id)s
    FOR NO KEY UPDATE
), cancelled AS (
    UPDATE issuances SET status = 'CANCELLED', reason = 'DISCARDED', version = campaign.version
    FROM campaign
    WHERE issuances.campaign_id = campaign.campaign_id AND position = %(position)s
        AND user_id = %(user_id)s AND status = 'UNDER_REVIEW'
    RETURNING position
), raised AS (
    UPDATE campaigns SET position_limit = position_limit + 1, version = version + 1
    WHERE campaign_id = %(campaign_id)s AND EXISTS (SELECT FROM cancelled)
)
SELECT campaign.version FROM campaign, cancelled

-- name: stamp
-- Let the gate follow rows that were recorded late. Returns the campaign's new version, or nothing.
WITH raised AS (
    UPDATE campaigns SET version = version + 1 WHERE campaign_id = %(campaign_id)s RETURNING version
), stamped AS (
    UPDATE issuances SET version = raised.version FROM raised
    WHERE campaign_id = %(campaign_id)s AND position = ANY (%(positions)s::bigint[])
        AND status = 'ISSUED'
)
SELECT version FROM raised

-- name: numbers
-- The campaign's epoch, limit and version, as they are once nobody else changes it.
SELECT epoch, position_limit, version FROM campaigns WHERE campaign_id = %(campaign_id)s

-- name: close
-- Decide a letter, and with it others of the same claim; each leaves an audit row.
WITH closed AS (
    UPDATE dead_letters SET state = %(state)s, decided_at = now()
    WHERE state = 'QUARANTINED' AND (
        dead_letter_id = %(dead_letter_id)s
        OR (campaign_id = %(campaign_id)s::bigint AND position = %(position)s::bigint
            AND user_id = %(user_id)s::text))
    RETURNING dead_letter_id, campaign_id, position
)
INSERT INTO audit (actor, action, campaign_id, detail)
SELECT %(actor)s, %(action)s, campaign_id, jsonb_build_object('dead_letter_id', dead_letter_id,
    'position', position, 'outcome', %(outcome)s::text, 'version', %(version)s::bigint)
FROM closed

-- name: tried
-- A redrive that changed nothing counts as an attempt.
UPDATE dead_letters SET attempts = attempts + 1 WHERE dead_letter_id = %(dead_letter_id)s

-- name: close_recorded
-- Letters whose claim was recorded after all, by a later try or from the gate's journal. Claims under
-- review wait for an operator. Who has decided it stands in the audit.
WITH closed AS (
    UPDATE dead_letters SET state = 'REDRIVEN', decided_at = now()
    FROM issuances
    WHERE dead_letters.state = 'QUARANTINED' AND dead_letters.reason <> 'REJECTED'
        AND issuances.campaign_id = dead_letters.campaign_id
        AND issuances.position = dead_letters.position
        AND issuances.user_id = dead_letters.user_id AND issuances.status <> 'UNDER_REVIEW'
    RETURNING dead_letter_id, dead_letters.campaign_id, dead_letters.position
)
INSERT INTO audit (actor, action, campaign_id, detail)
SELECT 'sweeper', 'dead_letter.redrive', campaign_id, jsonb_build_object(
    'dead_letter_id', dead_letter_id, 'position', position, 'outcome', 'RECORDED_MEANWHILE')
FROM closed

-- name: unpublished
-- Letters that no broker has acknowledged, oldest first.
SELECT dead_letter_id, state, campaign_id, epoch, position, user_id, attempt,
    extract(epoch FROM requested_at)::float8, topic, partition, "offset", reason, detail, payload,
    attempts, created_at, decided_at, published_at
FROM dead_letters
WHERE published_at IS NULL AND NOT dead_letter_id = ANY (%(under_way)s::bigint[])
ORDER BY dead_letter_id LIMIT %(rows)s

-- name: published
UPDATE dead_letters SET published_at = now()
WHERE dead_letter_id = ANY (%(dead_letter_ids)s::bigint[]) AND published_at IS NULL
