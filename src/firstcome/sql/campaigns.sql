-- Campaigns as operators and the api see them.
--
-- Every change adds one to campaigns.version, which the gate follows, and writes an audit row in
-- the same transaction. Columns of a campaign always come in the order of model.Campaign.

-- name: create
-- Make a campaign; its first units are its stock.
INSERT INTO campaigns (name, engine, stock, position_limit, opens_at, closes_at)
VALUES (%(name)s, %(engine)s, %(stock)s, %(stock)s, %(opens_at)s, %(closes_at)s)
RETURNING campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at

-- name: list
-- All campaigns, oldest first.
SELECT campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at
FROM campaigns ORDER BY campaign_id

-- name: gated
-- Campaigns of some engines, those that were put away left out.
SELECT campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at
FROM campaigns WHERE engine = ANY (%(engines)s::text[]) AND state <> 'ARCHIVED' ORDER BY campaign_id

-- name: epochs
-- The same campaigns' epochs alone: readable whatever else a later version writes of them.
SELECT campaign_id, epoch FROM campaigns
WHERE engine = ANY (%(engines)s::text[]) AND state <> 'ARCHIVED' ORDER BY campaign_id

-- name: show
-- One campaign.
SELECT campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at
FROM campaigns WHERE campaign_id = %(campaign_id)s

-- name: lock
-- One campaign, kept from other changes until the transaction ends.
SELECT campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at
FROM campaigns WHERE campaign_id = %(campaign_id)s
FOR NO KEY UPDATE

-- name: change
-- Write what an operator may change; restocked: units added to stock and limit alike.
UPDATE campaigns
SET name = %(name)s, state = %(state)s, opens_at = %(opens_at)s, closes_at = %(closes_at)s,
    stock = stock + %(restocked)s, position_limit = position_limit + %(restocked)s,
    version = version + 1
WHERE campaign_id = %(campaign_id)s
RETURNING campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at

-- name: note
-- Who did what.
INSERT INTO audit (actor, action, campaign_id, detail)
VALUES (%(actor)s, %(action)s, %(campaign_id)s, %(detail)s::jsonb)

-- name: counts
-- Rows by status, and the highest position that has one (0: none).
SELECT count(*) FILTER (WHERE status = 'ISSUED'), count(*) FILTER (WHERE status = 'UNDER_REVIEW'),
    count(*) FILTER (WHERE status = 'CANCELLED'), coalesce(max(position), 0)
FROM issuances WHERE campaign_id = %(campaign_id)s

-- name: winners
-- The next issued rows after a position.
SELECT position, user_id, requested_at, recorded_at FROM issuances
WHERE campaign_id = %(campaign_id)s AND position > %(after)s AND status = 'ISSUED'
ORDER BY position LIMIT %(rows)s

-- name: mirror
-- A campaign and its rows decided above a version, in one snapshot: the columns of a campaign, then
-- position (null: no such row), user (null: unknown), the live position that the user holds (0:
-- none), its attempt (0: none), and the row's settled bits: 1 ISSUED, 3 CANCELLED.
SELECT campaigns.campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at,
    campaigns.epoch, campaigns.version, created_at,
    decided.position, decided.user_id, coalesce(held.position, 0), coalesce(held.attempt, 0),
    CASE decided.status WHEN 'ISSUED' THEN 1 ELSE 3 END
FROM campaigns
    LEFT JOIN issuances AS decided
        ON decided.campaign_id = campaigns.campaign_id AND decided.status <> 'UNDER_REVIEW'
        AND decided.version > %(above_version)s
    LEFT JOIN issuances AS held
        ON held.campaign_id = decided.campaign_id AND held.user_id = decided.user_id
        AND held.status <> 'CANCELLED'
WHERE campaigns.campaign_id = %(campaign_id)s
ORDER BY decided.position

-- name: coupons_of
-- What a user holds: one probe of the index of live users for each campaign.
SELECT campaigns.campaign_id, campaigns.name, held.position, held.status, held.recorded_at
FROM campaigns
    CROSS JOIN LATERAL (
        SELECT position, status, recorded_at FROM issuances
        WHERE issuances.campaign_id = campaigns.campaign_id
            AND issuances.user_id = %(user_id)s AND issuances.status <> 'CANCELLED'
    ) AS held
ORDER BY held.recorded_at DESC, campaigns.campaign_id DESC

-- name: standing
-- The live row of a user in a campaign, and whether its gate has known it for long; no row when the
-- campaign does not exist.
SELECT campaigns.engine, campaigns.state, held.position, held.status,
    held.recorded_at < now() - make_interval(secs => %(settled_seconds)s)
FROM campaigns
    LEFT JOIN issuances AS held
        ON held.campaign_id = campaigns.campaign_id AND held.user_id = %(user_id)s
        AND held.status <> 'CANCELLED'
WHERE campaigns.campaign_id = %(campaign_id)s
