-- Who this store is, for as long as it exists.
CREATE TABLE store (
    id BLOB NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- What this store has to tell. Rows are only ever added; readers remember how far they came.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    type     TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    data     TEXT    NOT NULL
);

-- How far this store has heard each of its sources.
CREATE TABLE inbox (
    source   BLOB    NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;

-- What could not be heard: kept for a person to look at, and out of the way of what came after.
CREATE TABLE parked (
    source   BLOB    NOT NULL,
    sequence INTEGER NOT NULL,
    type     TEXT    NOT NULL,
    data     TEXT    NOT NULL,
    why      TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (source, sequence)
) WITHOUT ROWID;
