-- Which credentials are certificates that have not expired: a revocation of one is published in a list
-- until it would have expired. What they are is in their credentials' rows.
--
-- An older server refuses a database that has this migration and does not know it: it would publish no
-- list.
CREATE TABLE certificate (
  realm INTEGER NOT NULL,
  until INTEGER NOT NULL,
  lineage BLOB NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY (realm, until, lineage, id)
) STRICT, WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('certificate', 'certificate', '1000000 1000000 1000 1 1');

ANALYZE sqlite_schema;
