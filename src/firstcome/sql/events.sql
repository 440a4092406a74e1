-- What operators ask about events: which coupons there are, which wait to be told, who told again.
--
-- %(ids)s is an array of campaign numbers, or null for all of them. A campaign without any
-- position comes once, with nulls.

-- name: issued
-- Neighbours differ from their place in the order by the same number. An aggregate of ranges would
-- hold each position in the server's memory.
SELECT c.campaign_id, run.first, run."end"
FROM campaigns AS c
    LEFT JOIN LATERAL (
        SELECT min(position) AS first, max(position) + 1 AS "end"
        FROM (
            SELECT position, position - row_number() OVER (ORDER BY position) AS island
            FROM issuances AS i
            WHERE i.campaign_id = c.campaign_id AND i.event_id IS NOT NULL
        ) AS issued
        GROUP BY island
    ) AS run ON true
WHERE %(ids)s::bigint[] IS NULL OR c.campaign_id = ANY (%(ids)s::bigint[])

-- name: waiting
SELECT c.campaign_id, lower(r), upper(r)
FROM campaigns AS c
    LEFT JOIN outbox AS o ON o.campaign_id = c.campaign_id AND o.published_at IS NULL
    LEFT JOIN LATERAL unnest(o.positions) AS r ON true
WHERE %(ids)s::bigint[] IS NULL OR c.campaign_id = ANY (%(ids)s::bigint[])

-- name: audit_replay
INSERT INTO audit (actor, action, campaign_id, detail)
VALUES (%(actor)s, 'events.replay', %(campaign_id)s, jsonb_build_object('events', %(events)s::bigint,
    'first', %(first)s::bigint, 'last', %(last)s::bigint))
