-- The id of this store, for as long as it exists.
CREATE TABLE store (
    id BLOB NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- Events to publish; consumers store their offset. One row for each commit, with its events as a JSON array;
-- sequence is that of the last one, at_ms the latest. The oldest are deleted, the last row never.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    events   TEXT    NOT NULL
);

-- The offset of this consumer in the events of each source, and when its last event happened.
CREATE TABLE consumer_offsets (
    source         BLOB    NOT NULL PRIMARY KEY,
    sequence       INTEGER NOT NULL,
    at_ms          INTEGER NOT NULL,
    -- A snapshot of which not all rows were applied yet, and the key of the last one that was.
    snapshot_up_to INTEGER,
    snapshot_key   INTEGER
) WITHOUT ROWID;

-- Events that could not be applied, stored for an operator; those that were dismissed, for auditors.
CREATE TABLE dead_letters (
    source              BLOB    NOT NULL,
    sequence            INTEGER NOT NULL,
    type                TEXT    NOT NULL,
    at_ms               INTEGER NOT NULL,
    data                TEXT    NOT NULL,
    reason              TEXT    NOT NULL,
    dead_lettered_at_ms INTEGER NOT NULL,
    dismissed_at_ms     INTEGER,
    dismissal_reason    TEXT,
    PRIMARY KEY (source, sequence)
) WITHOUT ROWID;

CREATE INDEX dead_letters_open ON dead_letters (dead_lettered_at_ms, source, sequence)
    WHERE dismissed_at_ms IS NULL;
