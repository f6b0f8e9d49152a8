-- What operators look for in the log without knowing its task: refusals, which may have come before there
-- was one, and reads of secrets. Both indexes are partial and in the order of time, so that they cost
-- an issue nothing and what they do cover one place at the end.
--
-- An older server refuses a database that has this migration.

-- The newest refusals.
CREATE INDEX entry_refused ON entry (realm, at) WHERE code IN ('denied', 'undetermined');

-- The newest reads of secrets.
CREATE INDEX entry_read ON entry (realm, at) WHERE code = 'secret_read';

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('entry', 'entry_refused', '10000 10000 1 1'),
  ('entry', 'entry_read', '100000 100000 1 1');

ANALYZE sqlite_schema;
