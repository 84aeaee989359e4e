-- Requests that wait in line, numbered without gaps in the order of their arrival.
-- id: attempt 0 of the key, whatever attempt the ticket is at. reservation: the attempt it is at.
-- outcome: NULL waiting, 1 booked, 2 sold out, 3 no such vaccine, 4 key reused, 5 given up.
-- ended: its place, without gaps, among those that have ended; with it nobody has to count.
CREATE TABLE tickets (
    number       BIGINT NOT NULL PRIMARY KEY,
    id           UUID   NOT NULL UNIQUE,
    client_key   TEXT   NOT NULL,
    asked        UUID   NOT NULL,
    vaccine      BIGINT NOT NULL,
    user_id      BIGINT NOT NULL,
    queued_at_ms BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    reservation  UUID   NOT NULL,
    outcome      BIGINT,
    booking      BIGINT,
    ended        BIGINT,
    CHECK ((outcome IS NULL) = (ended IS NULL)),
    CHECK ((outcome IS NOT NULL AND outcome = 1) = (booking IS NOT NULL))
);

CREATE INDEX tickets_in_line ON tickets (ended, number);

CREATE UNIQUE INDEX tickets_waiting_for ON tickets (reservation) WHERE ended IS NULL;
