-- Cancelled appointments by their places, from 1 and without gaps in the order in which they were
-- cancelled, so that a page begins at a known place and nobody has to count. What is cancelled stays
-- so. Those that were before come in the order of their numbers.
CREATE TABLE cancellations (
    place     BIGINT NOT NULL PRIMARY KEY,
    injection BIGINT NOT NULL
);

INSERT INTO cancellations (place, injection)
     SELECT row_number() OVER (ORDER BY id), id
       FROM appointments
      WHERE status = 2
   ORDER BY id;

DROP INDEX cancelled;

-- Under another name: a process of an older version, which gives no places, must not write here.
ALTER TABLE appointments RENAME TO injections;

-- Found and in order: no plan has to choose between the two.
DROP INDEX appointments_of_booking;
CREATE INDEX injections_of_booking ON injections (booking, id);
