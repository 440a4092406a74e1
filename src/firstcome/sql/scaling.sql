-- What the autoscaler has done, for people.
--
-- audit  who changed what: actor 'autoscaler', action 'recorders.scale', detail: kind, recorders
--        (before), wanted, asked, drain_seconds, reason

-- name: note
INSERT INTO audit (actor, action, detail)
VALUES ('autoscaler', 'recorders.scale', %(detail)s::jsonb)
