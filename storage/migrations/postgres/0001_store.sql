-- Who this store is, for as long as it exists. Whoever writes locks this row first: of several
-- processes one writes at a time, so that what each reads stays true until it commits.
CREATE TABLE store (
    id UUID NOT NULL PRIMARY KEY
);

-- What this store has to tell. Rows are only ever added; readers remember how far they came.
CREATE TABLE outbox (
    sequence BIGINT NOT NULL PRIMARY KEY,
    type     TEXT   NOT NULL,
    at_ms    BIGINT NOT NULL,
    data     TEXT   NOT NULL
);

-- How far this store has heard each of its sources.
CREATE TABLE inbox (
    source   UUID   NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL
);

-- What could not be heard: kept for a person to look at, and out of the way of what came after.
CREATE TABLE parked (
    source   UUID   NOT NULL,
    sequence BIGINT NOT NULL,
    type     TEXT   NOT NULL,
    data     TEXT   NOT NULL,
    why      TEXT   NOT NULL,
    at_ms    BIGINT NOT NULL,
    PRIMARY KEY (source, sequence)
);
