-- Appointments, numbered without gaps and never removed. status: 0 ready, 1 completed, 2 cancelled.
CREATE TABLE appointments (
    id          BIGINT NOT NULL PRIMARY KEY,
    reservation UUID   NOT NULL UNIQUE,
    booking     BIGINT NOT NULL,
    vaccine     BIGINT NOT NULL,
    user_id     BIGINT NOT NULL,
    status      BIGINT NOT NULL
);

CREATE INDEX appointments_of_booking ON appointments (booking);
CREATE INDEX cancelled ON appointments (id) WHERE status = 2;
