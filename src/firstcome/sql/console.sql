-- What the operators' pages read beside the overview.
--
-- campaigns, issuances, outbox, dead_letters, audit: see migrations/0001_initial.sql and 0002
-- published: see migrations/0003_events.sql

-- name: rows_of
-- Every row that a user has or had, by campaign and position. Live rows come from the index of live
-- users; cancelled ones from the index of decided rows.
SELECT campaign_id, position, status, reason, requested_at, recorded_at, epoch
FROM issuances
WHERE user_id = %(user_id)s AND status <> 'CANCELLED'
    AND campaign_id = ANY (%(campaigns)s::bigint[])
UNION ALL
SELECT campaign_id, position, status, reason, requested_at, recorded_at, epoch
FROM issuances
WHERE user_id = %(user_id)s AND status = 'CANCELLED' AND version IS NOT NULL
    AND campaign_id = ANY (%(campaigns)s::bigint[])
ORDER BY campaign_id, position

-- name: letters_of
-- The newest dead letters that name a user.
SELECT dead_letter_id, campaign_id, state, reason, position, created_at
FROM dead_letters WHERE user_id = %(user_id)s
ORDER BY dead_letter_id DESC LIMIT 50

-- name: told
-- Of campaigns and positions, one each: whether the event of that coupon was published.
SELECT asked.campaign_id, asked.position,
    EXISTS (SELECT FROM published AS p
        WHERE p.campaign_id = asked.campaign_id AND p.positions @> asked.position)
FROM unnest(%(campaigns)s::bigint[], %(positions)s::bigint[]) AS asked (campaign_id, position)

-- name: last_coupons
-- When the highest position of each campaign that has none left was asked for; null: not known.
SELECT c.campaign_id, i.requested_at
FROM campaigns AS c
    JOIN issuances AS i ON i.campaign_id = c.campaign_id AND i.position = c.position_limit
WHERE c.campaign_id = ANY (%(campaigns)s::bigint[])

-- name: newest
-- The newest coupons of a campaign.
SELECT position, user_id, recorded_at FROM issuances
WHERE campaign_id = %(campaign_id)s AND status = 'ISSUED'
ORDER BY position DESC LIMIT %(rows)s

-- name: note
INSERT INTO audit (actor, action, campaign_id, detail)
VALUES (%(actor)s, %(action)s, %(campaign_id)s, %(detail)s::jsonb)

-- name: audit
-- What operators did, newest first.
SELECT at, actor, action, detail, campaign_id FROM audit ORDER BY audit_id DESC LIMIT %(rows)s

-- name: audit_of
-- What operators did with a campaign, newest first.
SELECT at, actor, action, detail, campaign_id FROM audit
WHERE campaign_id = %(campaign_id)s
ORDER BY audit_id DESC LIMIT %(rows)s
