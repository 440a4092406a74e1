-- What the laws are checked against. Reads only, in one snapshot (REPEATABLE READ).
--
-- campaigns, epochs, issuances, outbox, dead_letters, audit: see migrations/0001_initial.sql;
-- published: 0003_events.sql.
-- %(ids)s is an array of campaign numbers, or null for all of them; %(gated)s names the engines
-- that have a gate. None of these queries trusts
-- a constraint: what they look for is what a missing one would have let in.

-- name: campaigns
SELECT campaign_id, engine, state, stock, position_limit, position_last, epoch, version,
       extract(epoch FROM opens_at)::float8, extract(epoch FROM closes_at)::float8
FROM campaigns
WHERE %(ids)s::bigint[] IS NULL OR campaign_id = ANY (%(ids)s::bigint[])
ORDER BY campaign_id

-- name: epochs
SELECT campaign_id, epoch, last_position
FROM epochs
WHERE %(ids)s::bigint[] IS NULL OR campaign_id = ANY (%(ids)s::bigint[])

-- name: position_last
SELECT max(position)
FROM issuances
WHERE campaign_id = %(campaign_id)s
  AND position <= (SELECT position_limit FROM campaigns WHERE campaign_id = %(campaign_id)s)
HAVING count(*) > 0

-- name: rows
-- Status as the gate's settled bits; the time of the request in seconds since 1970.
SELECT position,
       CASE status WHEN 'ISSUED' THEN 1 WHEN 'UNDER_REVIEW' THEN 2 ELSE 3 END::smallint,
       user_id,
       extract(epoch FROM requested_at)::float8,
       recorded_at > now() - make_interval(secs => %(grace)s)
FROM issuances
WHERE campaign_id = %(campaign_id)s
ORDER BY position

-- name: user_at
SELECT user_id FROM issuances WHERE campaign_id = %s AND position = %s LIMIT 1

-- name: users_twice
SELECT campaign_id, user_id, count(*), min(position), max(position)
FROM issuances
WHERE status <> 'CANCELLED'
  AND (%(ids)s::bigint[] IS NULL OR campaign_id = ANY (%(ids)s::bigint[]))
GROUP BY campaign_id, user_id
HAVING count(*) > 1

-- name: rows_out_of_epoch
-- Without a gate there are no epochs.
SELECT i.campaign_id, i.position, i.user_id, i.epoch, e.last_position
FROM issuances AS i
JOIN campaigns AS c ON c.campaign_id = i.campaign_id AND c.engine = ANY (%(gated)s::text[])
LEFT JOIN epochs AS e ON e.campaign_id = i.campaign_id AND e.epoch = i.epoch
WHERE (e.epoch IS NULL OR i.position > e.last_position)
  AND (%(ids)s::bigint[] IS NULL OR i.campaign_id = ANY (%(ids)s::bigint[]))

-- name: outbox_ranges
-- First position and the one after the last; an unbounded end is the largest number.
SELECT o.campaign_id, greatest(0, coalesce(lower(r), 0)), coalesce(upper(r), 9223372036854775807)
FROM outbox AS o, unnest(o.positions) AS r
WHERE o.published_at IS NULL
  AND (%(ids)s::bigint[] IS NULL OR o.campaign_id = ANY (%(ids)s::bigint[]))

-- name: published_ranges
SELECT p.campaign_id, greatest(0, coalesce(lower(r), 0)), coalesce(upper(r), 9223372036854775807)
FROM published AS p, unnest(p.positions) AS r
WHERE %(ids)s::bigint[] IS NULL OR p.campaign_id = ANY (%(ids)s::bigint[])

-- name: dead_letters
SELECT state, campaign_id, position, user_id, topic, partition, "offset", reason
FROM dead_letters
WHERE %(ids)s::bigint[] IS NULL OR campaign_id IS NULL OR campaign_id = ANY (%(ids)s::bigint[])

-- name: decided_by_nobody
-- Decided dead letters that no audit row names.
SELECT campaign_id, position, user_id, dead_letter_id, state
FROM dead_letters
WHERE state <> 'QUARANTINED'
  AND (%(ids)s::bigint[] IS NULL OR campaign_id IS NULL OR campaign_id = ANY (%(ids)s::bigint[]))
  AND NOT EXISTS (
      SELECT FROM audit
      WHERE action = CASE state WHEN 'REDRIVEN' THEN 'dead_letter.redrive'
                     ELSE 'dead_letter.discard' END
        AND (detail ->> 'dead_letter_id')::bigint = dead_letters.dead_letter_id)

-- name: audited
-- The last change of state, the stock at creation (null: not audited), and what was added since.
SELECT campaign_id,
       (array_agg(action ORDER BY audit_id DESC) FILTER (
           WHERE action IN ('campaign.pause', 'campaign.resume', 'campaign.close', 'campaign.archive')
       ))[1],
       max((detail ->> 'stock')::bigint) FILTER (WHERE action = 'campaign.create'),
       coalesce(
           sum((detail ->> 'coupons')::bigint) FILTER (WHERE action = 'campaign.restock'), 0
       )::bigint
FROM audit
WHERE campaign_id IS NOT NULL
  AND (%(ids)s::bigint[] IS NULL OR campaign_id = ANY (%(ids)s::bigint[]))
GROUP BY campaign_id
