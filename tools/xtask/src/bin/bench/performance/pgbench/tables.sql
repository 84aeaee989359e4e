-- What the two ways of the other kind need: doses in a row, and a row for each booking.
DROP SCHEMA IF EXISTS contest CASCADE;
CREATE SCHEMA contest;
CREATE TABLE contest.vaccines (
    id    bigint PRIMARY KEY,
    doses bigint NOT NULL CHECK (doses >= 0)
);
CREATE TABLE contest.bookings (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vaccine_id bigint NOT NULL,
    user_id    bigint NOT NULL,
    status     text   NOT NULL
);
INSERT INTO contest.vaccines VALUES (1, 1000000000);
