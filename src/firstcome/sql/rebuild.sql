-- Making a gate anew from the rows: the step to the next epoch.
--
-- epochs.last_position is the fence: a record of an ended epoch counts up to there only. Columns of
-- a campaign always come in the order of model.Campaign.

-- name: lock
-- One campaign; waits for every recorder that has it share-locked.
SELECT campaign_id, name, engine, state, stock, position_limit, opens_at, closes_at, epoch,
    version, created_at
FROM campaigns WHERE campaign_id = %(campaign_id)s FOR UPDATE

-- name: last_position
-- The highest position that has a row.
SELECT coalesce(max(position), 0) FROM issuances WHERE campaign_id = %(campaign_id)s

-- name: cancel_holes
-- Give up every position of the ending epoch that nobody has recorded: whoever was admitted there
-- was never promised it. Positions of earlier epochs all have rows.
INSERT INTO issuances (campaign_id, position, version, epoch, status, reason)
SELECT %(campaign_id)s, hole, %(version)s, %(epoch)s, 'CANCELLED', 'HOLE'
FROM generate_series(
    1 + (SELECT coalesce(max(last_position), 0) FROM epochs
         WHERE campaign_id = %(campaign_id)s AND epoch < %(epoch)s),
    %(last_position)s) AS hole
WHERE NOT EXISTS (
    SELECT FROM issuances WHERE campaign_id = %(campaign_id)s AND position = hole)

-- name: end_epoch
UPDATE epochs SET last_position = %(last_position)s
WHERE campaign_id = %(campaign_id)s AND epoch = %(epoch)s

-- name: begin_epoch
-- The next epoch; the limit rises by the positions given up.
WITH begun AS (
    UPDATE campaigns SET epoch = epoch + 1, version = %(version)s,
        position_limit = position_limit + %(holes)s
    WHERE campaign_id = %(campaign_id)s
    RETURNING campaign_id, epoch)
INSERT INTO epochs (campaign_id, epoch, buckets) SELECT campaign_id, epoch, %(buckets)s FROM begun

-- name: rows
-- Every row of a campaign: 1 ISSUED, 2 UNDER_REVIEW, 3 CANCELLED, as the gate's settled bits.
SELECT position, CASE WHEN status <> 'CANCELLED' THEN user_id END, attempt,
    CASE status WHEN 'ISSUED' THEN 1 WHEN 'UNDER_REVIEW' THEN 2 ELSE 3 END
FROM issuances WHERE campaign_id = %(campaign_id)s AND position > %(after)s
ORDER BY position LIMIT %(rows)s

-- name: ended_epochs
-- Ended epochs whose keys may still be in Redis.
SELECT epoch, buckets FROM epochs
WHERE campaign_id = %(campaign_id)s AND epoch < %(epoch)s AND NOT unlinked

-- name: unlinked
UPDATE epochs SET unlinked = true WHERE campaign_id = %(campaign_id)s AND epoch = %(epoch)s

-- name: mortal
-- A rebuild whose process has stopped without dying loses its session, and with it lock and rows.
SELECT set_config('idle_session_timeout', %(idle)s, false),
    set_config('idle_in_transaction_session_timeout', %(idle_in_transaction)s, false)

-- name: alone
-- Keep other rebuilds out for as long as this session lives.
SELECT pg_try_advisory_lock(hashtext('firstcome-rebuild'))

-- name: alive
-- Show the server that this session is still at work.
SELECT 1
