-- Dead letters that are published, decided by operators, and followed by the gate.
--
-- dead_letters.requested_at  when the claim was sent to the gate; null: unknown or no possible time
-- dead_letters.published_at  when the brokers acknowledged its copy; null: still to be published
-- issuances.version          set for every row that was decided after its claim: CANCELLED rows, and
--                            from here on rows that a redrive has made ISSUED

ALTER TABLE dead_letters
    ADD COLUMN requested_at timestamptz,
    ADD COLUMN published_at timestamptz;

CREATE INDEX dead_letters_unpublished ON dead_letters (dead_letter_id) WHERE published_at IS NULL;
CREATE INDEX dead_letters_open ON dead_letters (campaign_id, position) WHERE state = 'QUARANTINED';

-- What the mirror reads: a gate follows the rows decided above its own version.
CREATE INDEX issuances_decided ON issuances (campaign_id, version) WHERE version IS NOT NULL;
DROP INDEX issuances_cancelled;
