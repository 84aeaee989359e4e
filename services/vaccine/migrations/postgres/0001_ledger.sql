-- What can run out. Today every pool is a vaccine; time slots and lots will be further pools.
-- The checks are the second line of defence: were a decision wrong, its commit would fail.
CREATE TABLE pools (
    id            BIGINT NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL,
    stock         BIGINT NOT NULL CHECK (stock >= 0),
    taken         BIGINT NOT NULL CHECK (taken >= 0),
    -- Doses that were used, and bookings that were made, although every dose was taken. No hold adds to it.
    overcommitted BIGINT NOT NULL DEFAULT 0 CHECK (overcommitted >= 0),
    CHECK (taken <= stock + overcommitted)
);

CREATE INDEX overcommitted ON pools (overcommitted) WHERE overcommitted > 0;

-- The highest pool id ever given: an id is never given again, not even after its pool is removed.
CREATE TABLE last_pool (
    id BIGINT NOT NULL
);
INSERT INTO last_pool (id) VALUES (0);

-- Which store takes one unit of which pools. state: 0 held, 1 booked, 2 released, 3 administered,
-- 4 aborted: released, and its owner has still to record it.
CREATE TABLE reservations (
    id         UUID   NOT NULL PRIMARY KEY,
    owner      UUID,
    state      BIGINT NOT NULL,
    claims     TEXT   NOT NULL,
    held_at_ms BIGINT NOT NULL
);

-- Holds that their owner has not resolved yet; small, since a hold leaves it within a moment.
CREATE INDEX unresolved ON reservations (owner, held_at_ms) WHERE state = 0;

CREATE INDEX aborted ON reservations (owner) WHERE state = 4;

-- Released reservations, which are deleted once they are old.
CREATE INDEX released ON reservations (held_at_ms) WHERE state = 2;
