-- The same in one statement, which is its own transaction.
WITH taken AS (
    UPDATE contest.vaccines SET doses = doses - 1 WHERE id = 1 AND doses > 0 RETURNING id
)
INSERT INTO contest.bookings (vaccine_id, user_id, status) SELECT id, 5, 'BOOKED' FROM taken;
