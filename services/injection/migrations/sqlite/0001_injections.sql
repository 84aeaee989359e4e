-- Appointments, numbered without gaps and never deleted. Without a slot the three of it are
-- NULL. status: 0 ready, 1 completed, 2 cancelled, 3 checked in, 4 no-show.
-- body_site: 0 left deltoid, 1 right deltoid, 2 left thigh, 3 right thigh. occurred_at_ms is NULL without a record.
CREATE TABLE injections (
    id               INTEGER PRIMARY KEY,
    -- That which its booking was made with.
    reservation      BLOB    NOT NULL UNIQUE,
    booking          INTEGER NOT NULL,
    vaccine          INTEGER NOT NULL,
    user_id          INTEGER NOT NULL,
    slot             INTEGER,
    site             INTEGER,
    starts_at_ms     INTEGER,
    status           INTEGER NOT NULL,
    checked_in_at_ms INTEGER,
    completed_at_ms  INTEGER,
    lot_number       TEXT,
    body_site        INTEGER,
    dose_number      INTEGER,
    performer        TEXT,
    occurred_at_ms   INTEGER,
    -- The reservation of the dose that the booking has: another one once it was moved.
    dose             BLOB    NOT NULL,
    -- How often it was moved.
    moves            INTEGER NOT NULL
);

-- Finds and orders, so that no plan has to choose between the two.
CREATE INDEX injections_of_booking ON injections (booking, id);
-- Only those with a slot: what has none costs no entry.
CREATE INDEX injections_of_site ON injections (site, starts_at_ms, id) WHERE site IS NOT NULL;
CREATE INDEX injections_cancelled ON injections (id) WHERE status = 2;
