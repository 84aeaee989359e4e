-- The id of this store, for as long as it exists. A transaction that writes locks this row first: of
-- several processes one writes at a time, so that what it read is still true when it commits.
CREATE TABLE store (
    id UUID NOT NULL PRIMARY KEY
);

-- Events to publish; consumers store their offset. One row for each commit, with its events as a JSON array;
-- sequence is that of the last one, at_ms the latest. The oldest are deleted, the last row never.
CREATE TABLE outbox (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at_ms    BIGINT NOT NULL,
    events   TEXT   NOT NULL
);

-- The offset of this consumer in the events of each source, and when its last event happened.
CREATE TABLE consumer_offsets (
    source         UUID   NOT NULL PRIMARY KEY,
    sequence       BIGINT NOT NULL,
    at_ms          BIGINT NOT NULL,
    -- A snapshot of which not all rows were applied yet, and the key of the last one that was.
    snapshot_up_to BIGINT,
    snapshot_key   BIGINT
);

-- Events that could not be applied, stored for an operator; those that were dismissed, for auditors.
CREATE TABLE dead_letters (
    source              UUID   NOT NULL,
    sequence            BIGINT NOT NULL,
    type                TEXT   NOT NULL,
    at_ms               BIGINT NOT NULL,
    data                TEXT   NOT NULL,
    reason              TEXT   NOT NULL,
    dead_lettered_at_ms BIGINT NOT NULL,
    dismissed_at_ms     BIGINT,
    dismissal_reason    TEXT,
    PRIMARY KEY (source, sequence)
);

CREATE INDEX dead_letters_open ON dead_letters (dead_lettered_at_ms, source, sequence)
    WHERE dismissed_at_ms IS NULL;
