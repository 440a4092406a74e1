-- Events for others: what tells of each issued coupon, and what has been told.
--
-- issuances.event_id      the id of the event that tells of this row; null unless it is ISSUED.
--                         campaign_id * 2^27 + position: the same in every repeat
-- issuances.recorded_at   from here on: when the row came, or when a redrive made it ISSUED
-- outbox.published_at     set on rows that are kept after their events were acknowledged
-- published               by campaign, the positions whose events were acknowledged
-- relay_slots             replication slots that were made: one that is gone was lost, not forgotten

-- So many campaigns have event ids.
ALTER TABLE campaigns ADD CHECK (campaign_id < 68719476736);

ALTER TABLE issuances
    ADD COLUMN event_id bigint
    GENERATED ALWAYS AS (CASE WHEN status = 'ISSUED' THEN campaign_id * 134217728 + position END) STORED;

ALTER TABLE outbox ADD COLUMN published_at timestamptz;
-- Rows come and go by the thousand: without this the dead ones would be read for minutes.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_unpublished ON outbox (outbox_id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

CREATE TABLE published (
    campaign_id  bigint PRIMARY KEY,
    positions    int8multirange NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE relay_slots (
    slot_name  text PRIMARY KEY,
    mode       text NOT NULL CHECK (mode IN ('wal', 'debezium')),
    made_at    timestamptz NOT NULL DEFAULT now()
);
