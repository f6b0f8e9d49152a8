-- Freezes: what an operator has stopped for a while. One row for each scope that was ever frozen; they
-- are not swept, so that a scope's epoch never starts again.
--
-- An older server refuses a database that has this migration: it would issue what is frozen.
CREATE TABLE freeze (
  realm INTEGER NOT NULL,
  scope TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, scope)
) STRICT, WITHOUT ROWID;
