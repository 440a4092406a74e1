-- What the operators' overview reads.
--
-- campaigns  an offer; the archived are left out
-- issuances  one row per position: ISSUED, UNDER_REVIEW or CANCELLED

-- name: ready
-- Fails unless the database answers and has been migrated.
SELECT count(*) FROM (SELECT 1 FROM campaigns LIMIT 1) AS any_campaign

-- name: outbox
-- Coupons whose events wait, in how many rows, and for how long the oldest has (seconds).
SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint, count(DISTINCT o.outbox_id),
    coalesce(extract(epoch FROM now() - min(o.created_at)), 0)::float8
FROM outbox AS o, unnest(o.positions) AS r
WHERE o.published_at IS NULL

-- name: campaigns
-- One row per campaign: what it is, then its rows by status. Reads every row of a live campaign.
SELECT c.campaign_id, c.name, c.engine, c.state, c.stock, c.position_limit, c.epoch, c.version,
    i.issued, i.under_review, i.cancelled
FROM campaigns AS c
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE status = 'ISSUED') AS issued,
            count(*) FILTER (WHERE status = 'UNDER_REVIEW') AS under_review,
            count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled
        FROM issuances WHERE issuances.campaign_id = c.campaign_id
    ) AS i
WHERE c.state <> 'ARCHIVED'
ORDER BY c.campaign_id
