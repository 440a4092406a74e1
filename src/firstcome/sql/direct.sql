-- The engine `direct`: a claim is decided in one statement, which is its whole transaction.
--
-- The campaign's row is the queue that everybody stands in. In one statement the lock is given back
-- by the server itself, so that no claim waits for the network of the one before it.

-- name: locked
-- Lock the campaign if it has anything to give, take the next position, write row and event.
-- Returns the position; no row: refused, or the user holds one already (nothing is written then).
WITH campaign AS (
    SELECT campaign_id, position_last + 1 AS position FROM campaigns
    WHERE campaign_id = %(campaign_id)s AND state = 'OPEN' AND position_last < position_limit
        AND (opens_at <= clock_timestamp()) IS NOT FALSE
        AND (clock_timestamp() < closes_at) IS NOT FALSE
    FOR NO KEY UPDATE
), issued AS (
    INSERT INTO issuances (campaign_id, position, requested_at, epoch, attempt, status, user_id)
    SELECT campaign_id, position, to_timestamp(%(requested_at)s), 0, %(attempt)s, 'ISSUED',
        %(user_id)s
    FROM campaign
    ON CONFLICT DO NOTHING
    RETURNING position
), counted AS (
    UPDATE campaigns SET position_last = issued.position FROM issued
    WHERE campaign_id = %(campaign_id)s
), announced AS (
    INSERT INTO outbox (campaign_id, positions)
    SELECT %(campaign_id)s, int8multirange(int8range(position, position + 1)) FROM issued
)
SELECT position FROM issued

-- name: conditional
-- The same without a lock of its own: the update is the condition. A user who holds a row already
-- makes the insert fail, and the update with it.
WITH counted AS (
    UPDATE campaigns SET position_last = position_last + 1
    WHERE campaign_id = %(campaign_id)s AND state = 'OPEN' AND position_last < position_limit
        AND (opens_at <= clock_timestamp()) IS NOT FALSE
        AND (clock_timestamp() < closes_at) IS NOT FALSE
    RETURNING position_last AS position
), issued AS (
    INSERT INTO issuances (campaign_id, position, requested_at, epoch, attempt, status, user_id)
    SELECT %(campaign_id)s, position, to_timestamp(%(requested_at)s), 0, %(attempt)s, 'ISSUED',
        %(user_id)s
    FROM counted
    RETURNING position
), announced AS (
    INSERT INTO outbox (campaign_id, positions)
    SELECT %(campaign_id)s, int8multirange(int8range(position, position + 1)) FROM issued
)
SELECT position FROM issued

-- name: explain
-- Why a claim was refused: the campaign's own reason, and the row that the user holds (null: none).
SELECT
    CASE
        WHEN state IN ('CLOSED', 'ARCHIVED') OR clock_timestamp() >= closes_at
            THEN 'CAMPAIGN_CLOSED'
        WHEN state = 'PAUSED' OR clock_timestamp() < opens_at THEN 'CAMPAIGN_NOT_OPEN'
        WHEN position_last >= position_limit THEN 'COUPON_OUT_OF_STOCK'
        ELSE 'TEMPORARILY_UNAVAILABLE'
    END,
    held.position, held.status, held.attempt
FROM campaigns
    LEFT JOIN issuances AS held
        ON held.campaign_id = campaigns.campaign_id AND held.user_id = %(user_id)s
        AND held.status <> 'CANCELLED'
WHERE campaigns.campaign_id = %(campaign_id)s

-- name: stock_left
-- Campaigns, and beside them how many coupons each has left; two nulls: there is none of them.
SELECT array_agg(campaign_id), array_agg(position_limit - position_last)
FROM campaigns WHERE campaign_id = ANY(%(campaign_ids)s)
