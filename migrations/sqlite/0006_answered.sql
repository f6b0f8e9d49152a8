-- Orders that were carried out under a key of the operator's, with what they came to: given again, they are
-- answered and not done twice. Kept for a day. No secret is in any of them.
--
-- An older server refuses a database that has this migration: it would carry out again what was done.
CREATE TABLE answered (
  realm INTEGER NOT NULL,
  digest BLOB NOT NULL,
  until INTEGER NOT NULL,
  request BLOB NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, digest)
) STRICT, WITHOUT ROWID;

-- The sweep of what is no longer kept.
CREATE INDEX answered_by_until ON answered (realm, until);
