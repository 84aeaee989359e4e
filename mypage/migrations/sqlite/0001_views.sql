-- What each booking looks like to its citizen, put together from events. A view may be there before
-- all of its events are. status: 0 booked, 1 cancelled, 2 completed.
CREATE TABLE views (
    reservation  BLOB    NOT NULL PRIMARY KEY,
    booking      INTEGER NOT NULL,
    vaccine      INTEGER NOT NULL,
    vaccine_name TEXT    NOT NULL,
    user_id      INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    as_of_ms     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX views_of_booking ON views (booking, reservation);
CREATE INDEX views_of_user ON views (user_id, booking, reservation);
