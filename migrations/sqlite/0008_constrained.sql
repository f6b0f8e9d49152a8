-- Lineages that are constrained: `state` 3 is one whose risk was raised or that is in quarantine. Few at any time.
--
-- An older server refuses a database that has this migration: it would not know what such a lineage may do.
CREATE INDEX lineage_constrained ON lineage (realm, id) WHERE state = 3;
