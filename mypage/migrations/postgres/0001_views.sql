-- What each booking looks like to its citizen, put together from events. A view may be there before
-- all of its events are. status: 0 booked, 1 cancelled, 2 completed.
CREATE TABLE views (
    reservation  UUID   NOT NULL PRIMARY KEY,
    booking      BIGINT NOT NULL,
    vaccine      BIGINT NOT NULL,
    vaccine_name TEXT   NOT NULL,
    user_id      BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    as_of_ms     BIGINT NOT NULL
);

CREATE INDEX views_of_booking ON views (booking, reservation);
CREATE INDEX views_of_user ON views (user_id, booking, reservation);
