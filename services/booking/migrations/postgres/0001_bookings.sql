-- Bookings, numbered without gaps and never deleted. status: 0 booked, 1 cancelled, 2 completed.
-- attempt: what a repeated request is recognised by: derived from its Idempotency-Key, or given by the edge.
-- fingerprint: that of the request, where it had an Idempotency-Key.
CREATE TABLE bookings (
    id              BIGINT NOT NULL PRIMARY KEY,
    attempt         UUID,
    reservation     UUID   NOT NULL,
    vaccine         BIGINT NOT NULL,
    vaccine_name    TEXT   NOT NULL,
    user_id         BIGINT NOT NULL,
    status          BIGINT NOT NULL,
    fingerprint     UUID,
    booked_at_ms    BIGINT NOT NULL,
    cancelled_at_ms BIGINT,
    -- None for a dose of the central stock without a time.
    slot            BIGINT,
    site            BIGINT,
    starts_at_ms    BIGINT,
    -- The reservations that it had before it was moved, in their order, separated by spaces.
    previous        TEXT   NOT NULL,
    -- What it counts as for its person, if it has a slot: see live_bookings.
    campaign        BIGINT,
    dose            BIGINT,
    nth             BIGINT,
    -- Of a series of two doses: the booking of the other one, and how many days after the first the second may be.
    other_dose      BIGINT,
    min_days        BIGINT,
    max_days        BIGINT
);

-- An attempt and a dose are booked at most once.
CREATE UNIQUE INDEX bookings_attempt ON bookings (attempt) WHERE attempt IS NOT NULL;

CREATE UNIQUE INDEX bookings_reservation ON bookings (reservation);

-- The bookings of slots that are not cancelled, by person. dose: which one of the campaign, from 1.
-- nth: from 0 to one less than the bookings of a dose that a person can have.
CREATE TABLE live_bookings (
    user_id  BIGINT NOT NULL,
    campaign BIGINT NOT NULL,
    dose     BIGINT NOT NULL,
    nth      BIGINT NOT NULL,
    booking  BIGINT NOT NULL,
    PRIMARY KEY (user_id, campaign, dose, nth)
);

-- The fence: attempts and doses (reservations) that can never become a booking. Old ones are deleted, but for those that
-- a booking had before it was moved: they lead to it.
CREATE TABLE aborted (
    id           UUID   NOT NULL PRIMARY KEY,
    at_ms        BIGINT NOT NULL,
    booking      BIGINT,
    -- The slot that the booking had with this dose.
    slot         BIGINT,
    site         BIGINT,
    starts_at_ms BIGINT
);

CREATE INDEX aborted_at ON aborted (at_ms) WHERE booking IS NULL;

-- Requests in the queue, numbered without gaps in the order of their arrival. Old ones that ended are deleted,
-- the last one never.
-- id: the attempt of the key.
-- outcome: NULL waiting, 1 booked, 2 sold out, 3 no such vaccine, 4 key reused, 5 slot full, 6 no such slot, 7 not open,
-- 8 already booked, 9 next slot full, 10 outside the interval, 11 single dose.
CREATE TABLE tickets (
    number       BIGINT NOT NULL PRIMARY KEY,
    id           UUID   NOT NULL UNIQUE,
    fingerprint  UUID   NOT NULL,
    vaccine      BIGINT NOT NULL,
    slot         BIGINT,
    next_slot    BIGINT,
    user_id      BIGINT NOT NULL,
    queued_at_ms BIGINT NOT NULL,
    outcome      BIGINT,
    booking      BIGINT,
    CHECK ((outcome IS NOT NULL AND outcome = 1) = (booking IS NOT NULL))
);

CREATE INDEX tickets_waiting ON tickets (number) WHERE outcome IS NULL;

CREATE INDEX tickets_waiting_of_user ON tickets (user_id) WHERE outcome IS NULL;
