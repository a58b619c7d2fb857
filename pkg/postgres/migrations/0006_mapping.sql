-- Written by the console alone: a version's contact filter, and what contacts that
-- Lockstep creates are given.

ALTER TABLE mapping_version ADD COLUMN filter jsonb;

ALTER TABLE tenant ADD COLUMN default_owner text NOT NULL DEFAULT '';       -- e-mail of a user
ALTER TABLE tenant ADD COLUMN default_lead_source text NOT NULL DEFAULT '';

-- Written by ingest alone: the properties that a system has now. What a
-- mapping needs and is not here, puts that mapping at rest.

CREATE TABLE property_schema (
    tenant     text        NOT NULL,
    system     text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    read_at    timestamptz NOT NULL,
    properties jsonb       NOT NULL,
    PRIMARY KEY (tenant, system)
);
