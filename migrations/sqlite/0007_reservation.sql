-- Uses of actions that tasks have reserved: what workloads call their permits. `state`: 1 reserved, 2 consumed
-- for good. A row goes with its task, and not before: what was not consumed by its end has lapsed.
--
-- An older server refuses a database that has this migration: it would not know what was consumed.
CREATE TABLE reservation (
  realm INTEGER NOT NULL,
  task BLOB NOT NULL,
  id BLOB NOT NULL,
  state INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, task, id)
) STRICT, WITHOUT ROWID;
