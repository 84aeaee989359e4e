-- Bookings, numbered without gaps and never removed: the number tells the place in every list.
-- status: 0 booked, 1 cancelled, 2 completed. asked: fingerprint of the request, where an
-- Idempotency-Key came with it.
CREATE TABLE bookings (
    id           BIGINT NOT NULL PRIMARY KEY,
    reservation  UUID   NOT NULL,
    vaccine      BIGINT NOT NULL,
    vaccine_name TEXT   NOT NULL,
    user_id      BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    asked        UUID,
    booked_at_ms BIGINT NOT NULL
);

-- What became of each attempt: a booking, or nothing for ever (booking IS NULL).
-- Its key is the fence: an attempt that was abandoned can never become a booking.
CREATE TABLE attempts (
    reservation UUID   NOT NULL PRIMARY KEY,
    booking     BIGINT
);
