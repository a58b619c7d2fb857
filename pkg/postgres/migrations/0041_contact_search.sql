-- Written by the mapper alone: contacts are found by name, and decisions keep
-- the order in which they were stored.

ALTER TABLE contact_state ADD COLUMN name text NOT NULL DEFAULT '';

CREATE INDEX contact_state_name ON contact_state (tenant, lower(name) text_pattern_ops) WHERE name <> '';

CREATE SEQUENCE contact_history_number;
ALTER TABLE contact_history ADD COLUMN number bigint NOT NULL DEFAULT nextval('contact_history_number');
ALTER SEQUENCE contact_history_number OWNED BY contact_history.number;

DROP INDEX contact_history_contact;
CREATE INDEX contact_history_contact ON contact_history (tenant, contact, number DESC);
