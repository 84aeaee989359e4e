-- Where each pool stands in the list of all, in the order of their ids: from 1 and without gaps, so
-- that a page begins at a known place and nobody has to count.
-- Not unique: when a pool is removed, those behind it move up one after the other.
ALTER TABLE pools ADD COLUMN place BIGINT NOT NULL DEFAULT 0;

UPDATE pools
   SET place = in_order.place
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM pools) AS in_order
 WHERE pools.id = in_order.id;

ALTER TABLE pools ALTER COLUMN place DROP DEFAULT;
CREATE INDEX pools_in_order ON pools (place);
