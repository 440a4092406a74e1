-- What the rows of a campaign add up to, against the numbers that its gate showed some time ago.
--
-- campaigns, epochs, lasts   one element a campaign: its number, its gate's epoch and last position

-- name: numbers
-- lost, leaked, unannounced. A campaign that has begun another epoch since is left out: its
-- numbers were of a gate that is gone.
SELECT c.campaign_id,
    mark.position_last - rows.up_to_the_mark AS lost,
    c.stock + rows.cancelled - c.position_limit AS leaked,
    rows.issued - announced.positions AS unannounced
FROM unnest(%(campaigns)s::bigint[], %(epochs)s::integer[], %(lasts)s::bigint[])
        AS mark (campaign_id, epoch, position_last)
    JOIN campaigns AS c ON c.campaign_id = mark.campaign_id AND c.epoch = mark.epoch
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE i.position <= mark.position_last) AS up_to_the_mark,
            count(*) FILTER (WHERE i.status = 'CANCELLED') AS cancelled,
            count(*) FILTER (WHERE i.status = 'ISSUED') AS issued
        FROM issuances AS i WHERE i.campaign_id = c.campaign_id
    ) AS rows
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint AS positions
        FROM (
            SELECT range_agg(either.positions) AS positions
            FROM (
                SELECT positions FROM outbox
                WHERE campaign_id = c.campaign_id AND published_at IS NULL
                UNION ALL
                SELECT positions FROM published WHERE campaign_id = c.campaign_id
            ) AS either
        ) AS listed, unnest(listed.positions) AS r
    ) AS announced
