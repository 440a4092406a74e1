-- Putting an ended campaign away: its rows stay, its keys leave Redis.
--
-- epochs.last_position is the fence: with its campaign archived, the last epoch ends too.
-- epochs.unlinked says that the keys of an epoch are gone.

-- name: open_ends
-- What keeps a campaign from being put away: positions with a row up to the gate's last one, and
-- dead letters that nobody has decided about.
SELECT (SELECT count(*) FROM issuances
        WHERE campaign_id = %(campaign_id)s AND position <= %(position_last)s),
    (SELECT count(*) FROM dead_letters
        WHERE campaign_id = %(campaign_id)s AND state = 'QUARANTINED')

-- name: end_epoch
UPDATE epochs SET last_position = %(position_last)s
WHERE campaign_id = %(campaign_id)s AND epoch = %(epoch)s

-- name: leftovers
-- Epochs of archived campaigns whose keys may still be in Redis, a few at a time.
SELECT e.campaign_id, e.epoch, e.buckets
FROM epochs AS e JOIN campaigns AS c USING (campaign_id)
WHERE c.state = 'ARCHIVED' AND NOT e.unlinked
ORDER BY e.campaign_id, e.epoch LIMIT %(epochs)s

-- name: removed
UPDATE epochs SET unlinked = true WHERE campaign_id = %(campaign_id)s AND epoch = %(epoch)s
