-- What each booking looks like to its citizen, built from events; numbered in the order in which views
-- were created. status: 0 booked, 1 cancelled, 2 completed. moves: how often the booking was moved.
-- slot_as_of_ms: since when it has its slot, or none. occurred_at_ms: when its dose was injected; NULL: not recorded.
CREATE TABLE views (
    number         BIGINT NOT NULL PRIMARY KEY,
    -- That which the booking was made with.
    reservation    UUID   NOT NULL UNIQUE,
    booking        BIGINT NOT NULL,
    vaccine        BIGINT NOT NULL,
    vaccine_name   TEXT   NOT NULL,
    user_id        BIGINT NOT NULL,
    status         BIGINT NOT NULL,
    as_of_ms       BIGINT NOT NULL,
    moves          BIGINT NOT NULL,
    slot           BIGINT,
    site           BIGINT,
    starts_at_ms   BIGINT,
    slot_as_of_ms  BIGINT NOT NULL,
    lot_number     TEXT,
    dose_number    BIGINT,
    occurred_at_ms BIGINT
);

CREATE INDEX views_of_booking ON views (booking, number);
CREATE INDEX views_of_user ON views (user_id, number);

-- Where sites are; place: JSON.
CREATE TABLE sites (
    id       BIGINT NOT NULL PRIMARY KEY,
    since_ms BIGINT NOT NULL,
    place    TEXT   NOT NULL
);
