-- What each booking looks like to its citizen, built from events; numbered in the order in which views
-- were created. status: 0 booked, 1 cancelled, 2 completed. moves: how often the booking was moved.
-- slot_as_of_ms: since when it has its slot, or none. occurred_at_ms: when its dose was injected; NULL: not recorded.
CREATE TABLE views (
    number         INTEGER PRIMARY KEY,
    -- That which the booking was made with.
    reservation    BLOB    NOT NULL UNIQUE,
    booking        INTEGER NOT NULL,
    vaccine        INTEGER NOT NULL,
    vaccine_name   TEXT    NOT NULL,
    user_id        INTEGER NOT NULL,
    status         INTEGER NOT NULL,
    as_of_ms       INTEGER NOT NULL,
    moves          INTEGER NOT NULL,
    slot           INTEGER,
    site           INTEGER,
    starts_at_ms   INTEGER,
    slot_as_of_ms  INTEGER NOT NULL,
    lot_number     TEXT,
    dose_number    INTEGER,
    occurred_at_ms INTEGER
);

CREATE INDEX views_of_booking ON views (booking, number);
CREATE INDEX views_of_user ON views (user_id, number);

-- Where sites are; place: JSON.
CREATE TABLE sites (
    id       INTEGER PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    place    TEXT    NOT NULL
);
