-- What each booking looks like to its citizen, built from events; numbered in the order in which views
-- were created. status: 0 booked, 1 cancelled, 2 completed.
CREATE TABLE views (
    number       BIGINT NOT NULL PRIMARY KEY,
    -- That which the booking was made with.
    reservation  UUID   NOT NULL UNIQUE,
    booking      BIGINT NOT NULL,
    vaccine      BIGINT NOT NULL,
    vaccine_name TEXT   NOT NULL,
    user_id      BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    as_of_ms     BIGINT NOT NULL
);

CREATE INDEX views_of_booking ON views (booking, number);
CREATE INDEX views_of_user ON views (user_id, number);
