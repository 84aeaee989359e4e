-- Bookings, numbered without gaps and never deleted. status: 0 booked, 1 cancelled, 2 completed.
-- fingerprint: that of the request, where it had an Idempotency-Key.
CREATE TABLE bookings (
    id              INTEGER PRIMARY KEY,
    reservation     BLOB    NOT NULL,
    vaccine         INTEGER NOT NULL,
    vaccine_name    TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    status          INTEGER NOT NULL,
    fingerprint     BLOB,
    booked_at_ms    INTEGER NOT NULL,
    cancelled_at_ms INTEGER
);

-- How each attempt ended: with a booking, or aborted (booking IS NULL). Old aborted ones are deleted, but for those
-- of a key: their aborted_at_ms is the end of time.
-- The primary key is the fence: an attempt that was aborted can never become a booking.
CREATE TABLE attempts (
    reservation   BLOB    NOT NULL PRIMARY KEY,
    booking       INTEGER,
    aborted_at_ms INTEGER,
    CHECK ((booking IS NULL) = (aborted_at_ms IS NOT NULL))
) WITHOUT ROWID;

CREATE INDEX attempts_aborted ON attempts (aborted_at_ms) WHERE booking IS NULL;

-- Requests in the queue, numbered without gaps in the order of their arrival. Old ones that ended are deleted,
-- the last one never.
-- id: attempt 0 of the key, whatever the current attempt is. reservation: the current attempt.
-- outcome: NULL waiting, 1 booked, 2 sold out, 3 no such vaccine, 4 key reused, 5 aborted.
CREATE TABLE tickets (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,
    client_key   TEXT    NOT NULL,
    fingerprint  BLOB    NOT NULL,
    vaccine      INTEGER NOT NULL,
    user_id      INTEGER NOT NULL,
    queued_at_ms INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    reservation  BLOB    NOT NULL,
    outcome      INTEGER,
    booking      INTEGER,
    CHECK ((outcome IS NOT NULL AND outcome = 1) = (booking IS NOT NULL))
);

CREATE INDEX tickets_waiting ON tickets (number) WHERE outcome IS NULL;

CREATE UNIQUE INDEX tickets_waiting_with ON tickets (reservation) WHERE outcome IS NULL;

CREATE INDEX tickets_waiting_of_user ON tickets (user_id) WHERE outcome IS NULL;
