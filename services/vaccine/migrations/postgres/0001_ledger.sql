-- Vaccines: what can run out of them are doses.
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

-- Product rules of vaccines, as JSON: the body of PUT /vaccines/{id}/product.
CREATE TABLE products (
    vaccine BIGINT NOT NULL PRIMARY KEY,
    product TEXT NOT NULL
);

-- Slots: what can run out of them are places. As campaign has planned them; the number of one in a claim is negative.
CREATE TABLE slots (
    id            BIGINT NOT NULL PRIMARY KEY,
    -- NULL while only a booking of it is known, in a ledger that was restored.
    campaign      BIGINT,
    site          BIGINT,
    -- At the site.
    date          TEXT,
    starts_at_ms  BIGINT,
    places        BIGINT NOT NULL CHECK (places >= 0),
    taken         BIGINT NOT NULL CHECK (taken >= 0),
    -- Bookings that have no place any more, since fewer are planned. No hold adds to it.
    overcommitted BIGINT NOT NULL DEFAULT 0 CHECK (overcommitted >= 0),
    CHECK (taken <= places + overcommitted)
);

CREATE INDEX overcommitted_slots ON slots (overcommitted) WHERE overcommitted > 0;

-- Finds and orders those of a site on some dates.
CREATE INDEX slots_of_site ON slots (site, date, id);

-- What holds of slots depend on. status: 0 draft, 1 scheduled, 2 open, 3 paused, 4 closed. vaccines: a list of ids.
-- doses: 0 of the central stock, 1 of the lots of each site.
CREATE TABLE campaigns (
    id                  BIGINT NOT NULL PRIMARY KEY,
    status              BIGINT NOT NULL,
    vaccines            TEXT   NOT NULL,
    doses               BIGINT NOT NULL,
    book_from_ms        BIGINT,
    book_until_ms       BIGINT,
    bookings_per_person BIGINT NOT NULL
);

-- The doses of a vaccine at a site. doses: [["2026-12-31", 40], …], by the last date on which they can be used.
-- taken: [["2026-12-01", 3], …], what is held and booked, by date. A dose can serve the dates up to its expiry.
-- margin: of all times after which doses can be used, the fewest doses that are left. Below zero, so many reservations
-- have no dose, and are overcommitted: no hold adds to that.
CREATE TABLE site_stocks (
    site          BIGINT NOT NULL,
    vaccine       BIGINT NOT NULL,
    doses         TEXT    NOT NULL,
    taken         TEXT    NOT NULL,
    margin        BIGINT NOT NULL,
    overcommitted BIGINT NOT NULL CHECK (overcommitted >= 0),
    PRIMARY KEY (site, vaccine),
    CHECK (margin + overcommitted >= 0)
);

CREATE INDEX overcommitted_site_stocks ON site_stocks (overcommitted) WHERE overcommitted > 0;

-- Lots, numbered without gaps and never deleted. The doses of a stock are those of its lots.
CREATE TABLE lots (
    id          BIGINT NOT NULL PRIMARY KEY,
    site        BIGINT NOT NULL,
    vaccine     BIGINT NOT NULL,
    number      TEXT    NOT NULL,
    expires_on  TEXT    NOT NULL,
    doses       BIGINT NOT NULL CHECK (doses >= 0),
    received    BIGINT NOT NULL,
    used        BIGINT NOT NULL,
    wasted      BIGINT NOT NULL,
    transferred BIGINT NOT NULL,
    -- How many rows of lot_changes it has.
    changes     BIGINT NOT NULL,
    UNIQUE (site, vaccine, number)
);

-- Finds and orders.
CREATE INDEX lots_of_site ON lots (site, id);

-- What happened to lots, without injections. kind: 0 received, 1 wasted, 2 transferred, 3 counted.
CREATE TABLE lot_changes (
    lot    BIGINT NOT NULL,
    number BIGINT NOT NULL,
    kind   BIGINT NOT NULL,
    doses  BIGINT NOT NULL,
    site   BIGINT,
    reason TEXT    NOT NULL,
    actor  TEXT    NOT NULL,
    at_ms  BIGINT NOT NULL,
    PRIMARY KEY (lot, number)
);

-- The highest pool id ever given: an id is never given again, not even after its pool is removed.
CREATE TABLE last_pool (
    id BIGINT NOT NULL
);
INSERT INTO last_pool (id) VALUES (0);

-- Which store takes one unit of which pools for each reservation of a block. A block is what was held together:
-- reservations whose ids follow each other in their last 16 bits, 1 to 1536 of them; the row has the id of the first one.
-- states has a digit for each: 0 held, 1 booked, 2 released, 3 administered, 4 aborted: released, and its owner has
-- still to record it.
-- claims: a vaccine by its number, a slot by its negative one, doses of a site as "site/vaccine/date".
--
-- The row of a reservation is the last one that does not begin after it, for example:
--   SELECT * FROM reservations WHERE id <= '019abcde-0000-7000-8000-00000000000a' ORDER BY id DESC LIMIT 1;
-- Its digit, counted from 0, is at the difference of the last four hexadecimal digits of the two ids. If they differ in
-- another place too, or if the row has not so many digits, the reservation is unknown.
--
-- has_held and has_aborted say whether any reservation of the block is in that state, is_released whether all are: 0 or
-- 1. While some are held and some are booked, a confirmation changes none of them, and so no index: PostgreSQL then writes
-- only the row (a heap-only tuple), if its page has room, which is why half of each page is left free. Let no index be on
-- states, or have it in its condition.
CREATE TABLE reservations (
    id          UUID   NOT NULL PRIMARY KEY,
    owner       UUID,
    claims      TEXT   NOT NULL,
    held_at_ms  BIGINT NOT NULL,
    states      TEXT   NOT NULL,
    has_held    BIGINT NOT NULL,
    has_aborted BIGINT NOT NULL,
    is_released BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Blocks with holds that their owner has not resolved yet.
CREATE INDEX unresolved ON reservations (owner, held_at_ms) WHERE has_held = 1;

CREATE INDEX aborted ON reservations (owner) WHERE has_aborted = 1;

-- Blocks that are deleted once they are old.
CREATE INDEX released ON reservations (held_at_ms) WHERE is_released = 1;
