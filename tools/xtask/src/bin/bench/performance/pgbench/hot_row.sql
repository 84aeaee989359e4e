-- A booking as most would write it: look, take, book, in one transaction.
BEGIN;
SELECT doses FROM contest.vaccines WHERE id = 1 FOR UPDATE;
UPDATE contest.vaccines SET doses = doses - 1 WHERE id = 1;
INSERT INTO contest.bookings (vaccine_id, user_id, status) VALUES (1, 5, 'BOOKED');
COMMIT;
