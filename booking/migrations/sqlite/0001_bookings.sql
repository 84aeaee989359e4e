-- Bookings, numbered without gaps and never removed: the number tells the place in every list.
-- status: 0 booked, 1 cancelled, 2 completed. asked: fingerprint of the request, where an
-- Idempotency-Key came with it.
CREATE TABLE bookings (
    id           INTEGER PRIMARY KEY,
    reservation  BLOB    NOT NULL,
    vaccine      INTEGER NOT NULL,
    vaccine_name TEXT    NOT NULL,
    user_id      INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    asked        BLOB,
    booked_at_ms INTEGER NOT NULL
);

-- What became of each attempt: a booking, or nothing for ever (booking IS NULL).
-- Its key is the fence: an attempt that was abandoned can never become a booking.
CREATE TABLE attempts (
    reservation BLOB    NOT NULL PRIMARY KEY,
    booking     INTEGER
) WITHOUT ROWID;
