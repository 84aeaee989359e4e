-- The views, with their places in the lists, so that a page begins at a known place and nobody has
-- to count. number: among all. of_user: among those of the citizen. Both from 1 and without gaps, in
-- the order in which views were first heard of; those that were there before, in the order of their
-- bookings. Views are never removed one by one.
-- Under another name: a process of an older version, which gives no places, must not write here.
CREATE TABLE mypages (
    number       BIGINT NOT NULL PRIMARY KEY,
    of_user      BIGINT NOT NULL,
    reservation  UUID   NOT NULL UNIQUE,
    booking      BIGINT NOT NULL,
    vaccine      BIGINT NOT NULL,
    vaccine_name TEXT   NOT NULL,
    user_id      BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    as_of_ms     BIGINT NOT NULL
);

INSERT INTO mypages
            (number, of_user, reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms)
     SELECT row_number() OVER (ORDER BY booking, reservation),
            row_number() OVER (PARTITION BY user_id ORDER BY booking, reservation),
            reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms
       FROM views
   ORDER BY 1;

DROP TABLE views;

CREATE INDEX mypages_of_booking ON mypages (booking, number);
CREATE UNIQUE INDEX mypages_of_user ON mypages (user_id, of_user);
