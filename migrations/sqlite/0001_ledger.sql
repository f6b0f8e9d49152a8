-- The ledger: tasks and what hangs on them, the entries that say so, and the keys.
--
-- An older server refuses a database that has this migration and does not know it; there is none.
--
-- Every row belongs to a realm, and the realm leads its key; what numbers or describes the whole
-- database (writer, entry, leaf, checkpoint, key, meta) has no realm in front. Ids are 16-byte
-- UUIDv7, so that rows arrive at the end of their tables. Times are UTC microseconds, bound by the
-- server. `body` is the row as JSON; `mac` covers every other column of its row. There is no
-- index without the query that needs it named beside it.

CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE key (
  id TEXT NOT NULL PRIMARY KEY,
  purpose TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  wrapped BLOB NOT NULL,
  public BLOB
) STRICT, WITHOUT ROWID;

-- One start of one process. Each numbers its own entries from 1 without gaps.
CREATE TABLE writer (
  id INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  started_at INTEGER NOT NULL
) STRICT;

CREATE TABLE entry (
  writer INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  format INTEGER NOT NULL,
  realm INTEGER NOT NULL,
  task BLOB,
  code TEXT NOT NULL,
  touches TEXT NOT NULL,
  leaf BLOB NOT NULL,
  PRIMARY KEY (writer, n)
) STRICT, WITHOUT ROWID;

-- The newest entries about a task.
CREATE INDEX entry_by_task ON entry (realm, task, at) WHERE task IS NOT NULL;

-- Inserted only, by the sequencer. The unique key answers how far a writer has been sequenced.
CREATE TABLE leaf (
  idx INTEGER PRIMARY KEY,
  writer INTEGER NOT NULL,
  n INTEGER NOT NULL,
  hash BLOB NOT NULL,
  UNIQUE (writer, n)
) STRICT;

CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  frontier BLOB NOT NULL,
  note TEXT NOT NULL
) STRICT;

-- `state`: 1 while it may be worked under, 2 when it is over for good. So in all three below.
CREATE TABLE task (
  realm INTEGER NOT NULL,
  id BLOB NOT NULL,
  external TEXT NOT NULL,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  deadline_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, id),
  UNIQUE (realm, external)
) STRICT, WITHOUT ROWID;

-- The sweep of what has been over for long.
CREATE INDEX task_by_deadline ON task (realm, deadline_at);

CREATE TABLE lineage (
  realm INTEGER NOT NULL,
  id BLOB NOT NULL,
  task BLOB NOT NULL,
  instance TEXT NOT NULL,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, id),
  UNIQUE (realm, task, instance)
) STRICT, WITHOUT ROWID;

-- `jkt` is empty for the session without a key.
CREATE TABLE session (
  realm INTEGER NOT NULL,
  id BLOB NOT NULL,
  lineage BLOB NOT NULL,
  jkt BLOB NOT NULL,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, id),
  UNIQUE (realm, lineage, jkt)
) STRICT, WITHOUT ROWID;

-- Whom a change of a record at its source concerns: filled when a lineage opens, emptied when it
-- ends.
CREATE TABLE binding (
  realm INTEGER NOT NULL,
  source TEXT NOT NULL,
  kind TEXT NOT NULL,
  record TEXT NOT NULL,
  lineage BLOB NOT NULL,
  PRIMARY KEY (realm, source, kind, record, lineage)
) STRICT, WITHOUT ROWID;

-- Appended, never updated.
CREATE TABLE credential (
  realm INTEGER NOT NULL,
  lineage BLOB NOT NULL,
  id BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, lineage, id)
) STRICT, WITHOUT ROWID;

-- The sweep of what expired long ago, also under tasks that go on.
CREATE INDEX credential_by_expiry ON credential (realm, expires_at);

-- `until` leads the digest, so that new keys meet in one place and the sweep is a range.
CREATE TABLE once (
  realm INTEGER NOT NULL,
  until INTEGER NOT NULL,
  digest BLOB NOT NULL,
  kind INTEGER NOT NULL,
  session BLOB,
  PRIMARY KEY (realm, until, digest, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE spent (
  realm INTEGER NOT NULL,
  task BLOB NOT NULL,
  grant_name TEXT NOT NULL,
  used INTEGER NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, task, grant_name)
) STRICT, WITHOUT ROWID;

-- Tombstones over what has no row of its own. All that hold are in memory as well.
CREATE TABLE bar (
  realm INTEGER NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  until INTEGER NOT NULL,
  body TEXT NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, kind, value)
) STRICT, WITHOUT ROWID;

-- The bars that hold, at start; those that no longer do, for the sweep.
CREATE INDEX bar_by_until ON bar (realm, until);

CREATE TABLE source_state (
  realm INTEGER NOT NULL,
  source TEXT NOT NULL,
  kind TEXT NOT NULL,
  record TEXT NOT NULL,
  version TEXT NOT NULL,
  observed_at INTEGER NOT NULL,
  PRIMARY KEY (realm, source, kind, record)
) STRICT, WITHOUT ROWID;

-- One row per path, kept when the secret is deleted: its version numbers never repeat.
-- `state`: 1 stored, 2 deleted.
CREATE TABLE secret (
  realm INTEGER NOT NULL,
  path TEXT NOT NULL,
  latest INTEGER NOT NULL,
  state INTEGER NOT NULL,
  at INTEGER NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, path)
) STRICT, WITHOUT ROWID;

-- The sealed bytes of each version; gone when the secret is deleted.
CREATE TABLE secret_version (
  realm INTEGER NOT NULL,
  path TEXT NOT NULL,
  version INTEGER NOT NULL,
  at INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  wrapped BLOB NOT NULL,
  sealed BLOB NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (realm, path, version)
) STRICT, WITHOUT ROWID;
