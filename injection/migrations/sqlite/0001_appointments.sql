-- Appointments, numbered without gaps and never removed. status: 0 ready, 1 completed, 2 cancelled.
CREATE TABLE appointments (
    id          INTEGER PRIMARY KEY,
    reservation BLOB    NOT NULL UNIQUE,
    booking     INTEGER NOT NULL,
    vaccine     INTEGER NOT NULL,
    user_id     INTEGER NOT NULL,
    status      INTEGER NOT NULL
);

CREATE INDEX appointments_of_booking ON appointments (booking);
CREATE INDEX cancelled ON appointments (id) WHERE status = 2;
