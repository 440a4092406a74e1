-- The tables of a drop. PostgreSQL decides: laws L1 and L2 are constraints here.
--
-- campaigns     an offer: stock, times, and the two numbers that admission follows
-- epochs        the lives of a campaign's gate; last_position is set when the next one begins
-- issuances     one row per position, for ever: ISSUED, UNDER_REVIEW or CANCELLED
-- outbox        positions that became ISSUED and wait for publication, one row per transaction
-- dead_letters  claims and records set aside, with reason and origin
-- audit         who changed what

CREATE TYPE issuance_status AS ENUM ('ISSUED', 'UNDER_REVIEW', 'CANCELLED');

CREATE TABLE campaigns (
    campaign_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    engine          text NOT NULL CHECK (engine IN ('direct', 'queue', 'kafka')),
    state           text NOT NULL DEFAULT 'OPEN'
                    CHECK (state IN ('OPEN', 'PAUSED', 'CLOSED', 'ARCHIVED')),
    stock           integer NOT NULL CHECK (stock BETWEEN 1 AND 100000000),
    -- stock + cancelled positions; it only rises.
    position_limit  integer NOT NULL CHECK (position_limit >= stock AND position_limit < 134217728),
    -- Kept for the engine `direct` only; elsewhere the gate counts.
    position_last   integer NOT NULL DEFAULT 0 CHECK (position_last <= position_limit),
    opens_at        timestamptz,
    closes_at       timestamptz,
    -- 0: no gate has been loaded yet.
    epoch           integer NOT NULL DEFAULT 0,
    -- Every change of state, times or limit adds one; the gate applies only a higher version.
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (opens_at < closes_at)
);

CREATE TABLE epochs (
    campaign_id    bigint NOT NULL REFERENCES campaigns,
    epoch          integer NOT NULL,
    -- A record of this epoch counts up to here only; null while the epoch lasts.
    last_position  integer,
    buckets        integer NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    -- Whether the keys of an ended epoch were removed from Redis.
    unlinked       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (campaign_id, epoch)
);

CREATE TABLE issuances (
    -- No foreign key: its check of every single row is a third of what an insert costs. The
    -- trigger below checks the campaign once a statement, and campaigns are never deleted.
    campaign_id   bigint NOT NULL,
    position      bigint NOT NULL CHECK (position > 0),
    requested_at  timestamptz,
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    -- The campaign's version that cancelled this row: the gate releases rows above its own version.
    version       bigint,
    epoch         integer NOT NULL,
    -- Short hash of the Idempotency-Key; 0 when there was none.
    attempt       integer NOT NULL DEFAULT 0,
    status        issuance_status NOT NULL,
    user_id       text COLLATE "C" CHECK (length(user_id) BETWEEN 1 AND 64),
    -- Why a row was cancelled: NOT_APPENDED, DUPLICATE, HOLE or DISCARDED.
    reason        text,
    PRIMARY KEY (campaign_id, position),
    CHECK (user_id IS NOT NULL OR status = 'CANCELLED'),
    CHECK ((status = 'CANCELLED') = (reason IS NOT NULL))
);

CREATE UNIQUE INDEX issuances_live_user ON issuances (campaign_id, user_id)
    WHERE status <> 'CANCELLED';
CREATE INDEX issuances_cancelled ON issuances (campaign_id, version) WHERE status = 'CANCELLED';

-- Law L1 for every writer: no row beyond the limit, none without a campaign.
CREATE FUNCTION issuances_within_the_limit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE beyond record;
BEGIN
    SELECT i.campaign_id, i.position_last, c.position_limit INTO beyond
    FROM (SELECT campaign_id, max(position) AS position_last FROM added GROUP BY campaign_id) AS i
    LEFT JOIN campaigns AS c USING (campaign_id)
    WHERE i.position_last > coalesce(c.position_limit, 0)
    LIMIT 1;
    IF FOUND AND beyond.position_limit IS NULL THEN
        RAISE EXCEPTION 'there is no campaign %', beyond.campaign_id
            USING ERRCODE = 'foreign_key_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'position % is beyond the limit % of campaign %',
            beyond.position_last, beyond.position_limit, beyond.campaign_id
            USING ERRCODE = 'FC001';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER issuances_within_the_limit AFTER INSERT ON issuances
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION issuances_within_the_limit();

CREATE TABLE outbox (
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id  bigint NOT NULL,
    positions    int8multirange NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dead_letters (
    dead_letter_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state           text NOT NULL DEFAULT 'QUARANTINED'
                    CHECK (state IN ('QUARANTINED', 'REDRIVEN', 'DISCARDED')),
    -- Null where the record could not be read at all.
    campaign_id     bigint,
    epoch           integer,
    position        bigint,
    user_id         text,
    attempt         integer,
    -- The origin; null when the claim came from the gate's journal.
    topic           text,
    partition       integer,
    "offset"        bigint,
    reason          text NOT NULL,
    detail          text NOT NULL,
    payload         bytea,
    attempts        integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    decided_at      timestamptz,
    UNIQUE NULLS NOT DISTINCT (topic, partition, "offset", campaign_id, position)
);

CREATE TABLE audit (
    audit_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    action       text NOT NULL,
    campaign_id  bigint,
    detail       jsonb NOT NULL DEFAULT '{}'
);
