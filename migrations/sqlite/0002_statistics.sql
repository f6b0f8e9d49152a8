-- What the planner has to know about the keys. Without statistics it takes the first column of every
-- key for a selective one; here that is the realm, which nearly all rows share, so it would walk whole
-- tables. The numbers are those of a database with a million rows: all of them, those that share the
-- first column, the first two, and so on.
ANALYZE;

DELETE FROM sqlite_stat1;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('entry', 'entry', '1000000 1000000 1'),
  ('entry', 'entry_by_task', '1000000 1000000 4 1 1'),
  ('leaf', 'sqlite_autoindex_leaf_1', '1000000 1000000 1'),
  ('task', 'task', '1000000 1000000 1'),
  ('task', 'sqlite_autoindex_task_2', '1000000 1000000 1'),
  ('task', 'task_by_deadline', '1000000 1000000 1'),
  ('lineage', 'lineage', '1000000 1000000 1'),
  ('lineage', 'sqlite_autoindex_lineage_2', '1000000 1000000 2 1'),
  ('session', 'session', '1000000 1000000 1'),
  ('session', 'sqlite_autoindex_session_2', '1000000 1000000 2 1'),
  ('binding', 'binding', '1000000 1000000 1000000 300000 2 1'),
  ('credential', 'credential', '1000000 1000000 4 1'),
  ('credential', 'credential_by_expiry', '1000000 1000000 1'),
  ('once', 'once', '1000000 1000000 1000 1 1'),
  ('spent', 'spent', '1000000 1000000 2 1'),
  ('bar', 'bar', '1000 1000 300 1'),
  ('bar', 'bar_by_until', '1000 1000 1'),
  ('source_state', 'source_state', '1000000 1000000 1000000 300000 1'),
  ('secret', 'secret', '10000 10000 1'),
  ('secret_version', 'secret_version', '100000 100000 10 1');

ANALYZE sqlite_schema;
