-- Appointments, numbered without gaps and never deleted. status: 0 ready, 1 completed, 2 cancelled.
CREATE TABLE injections (
    id              BIGINT NOT NULL PRIMARY KEY,
    reservation     UUID   NOT NULL UNIQUE,
    booking         BIGINT NOT NULL,
    vaccine         BIGINT NOT NULL,
    user_id         BIGINT NOT NULL,
    status          BIGINT NOT NULL,
    completed_at_ms BIGINT
);

-- Finds and orders, so that no plan has to choose between the two.
CREATE INDEX injections_of_booking ON injections (booking, id);
CREATE INDEX injections_cancelled ON injections (id) WHERE status = 2;
