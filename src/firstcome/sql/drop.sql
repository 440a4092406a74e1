-- What a drop reads of the rows that it has caused. Reads only.
--
-- issuances  one row per position: ISSUED, UNDER_REVIEW or CANCELLED
-- %(ids)s    an array of campaign numbers

-- name: reached
-- The highest recorded position of each campaign: one step down the primary key, so that
-- asking every second costs the database nothing.
SELECT coalesce(sum(coalesce(
           (SELECT max(position) FROM issuances AS i WHERE i.campaign_id = c.campaign_id), 0)), 0)::bigint
FROM campaigns AS c
WHERE c.campaign_id = ANY (%(ids)s::bigint[])

-- name: issued
SELECT count(*) FROM issuances
WHERE campaign_id = ANY (%(ids)s::bigint[]) AND status = 'ISSUED'

-- name: commit_times_kept
SELECT current_setting('track_commit_timestamp')::boolean

-- name: rows_committed
-- With the time of the commit that made the row what it is, seconds since 1970.
SELECT position, user_id, status::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
FROM issuances
WHERE campaign_id = %(campaign_id)s
ORDER BY position

-- name: rows_recorded
-- Where commit times are not kept: the time at which the row's transaction began.
SELECT position, user_id, status::text, extract(epoch FROM recorded_at)::float8
FROM issuances
WHERE campaign_id = %(campaign_id)s
ORDER BY position

-- name: version
SELECT current_setting('server_version')

-- name: epochs
SELECT campaign_id, epoch FROM campaigns WHERE campaign_id = ANY (%(ids)s::bigint[])
