-- Appointments, numbered without gaps and never deleted. Without a slot the three of it are
-- NULL. status: 0 ready, 1 completed, 2 cancelled, 3 checked in, 4 no-show.
-- body_site: 0 left deltoid, 1 right deltoid, 2 left thigh, 3 right thigh. occurred_at_ms is NULL without a record.
CREATE TABLE injections (
    id               BIGINT NOT NULL PRIMARY KEY,
    -- That which its booking was made with.
    reservation      UUID   NOT NULL UNIQUE,
    booking          BIGINT NOT NULL,
    vaccine          BIGINT NOT NULL,
    user_id          BIGINT NOT NULL,
    slot             BIGINT,
    site             BIGINT,
    starts_at_ms     BIGINT,
    status           BIGINT NOT NULL,
    checked_in_at_ms BIGINT,
    completed_at_ms  BIGINT,
    lot_number       TEXT,
    body_site        BIGINT,
    dose_number      BIGINT,
    performer        TEXT,
    occurred_at_ms   BIGINT,
    -- The reservation of the dose that the booking has: another one once it was moved.
    dose             UUID   NOT NULL,
    -- How often it was moved.
    moves            BIGINT NOT NULL
);

-- Finds and orders, so that no plan has to choose between the two.
CREATE INDEX injections_of_booking ON injections (booking, id);
-- Only those with a slot: what has none costs no entry.
CREATE INDEX injections_of_site ON injections (site, starts_at_ms, id) WHERE site IS NOT NULL;
CREATE INDEX injections_cancelled ON injections (id) WHERE status = 2;
