-- Written by the writers alone: what must still be written, lanes that rest,
-- and what of a day's quota is used.

CREATE SEQUENCE lane_revision;

CREATE TABLE lane_row (
    tenant    text        NOT NULL,
    system    text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    contact   text        NOT NULL,
    partition integer     NOT NULL,
    bulk      boolean     NOT NULL,            -- may wait behind live rows
    version   bigint      NOT NULL,            -- highest version merged into the patch
    revision  bigint      NOT NULL,            -- new with every change of the patch, and never used again
    attempts  integer     NOT NULL DEFAULT 0,
    next_at   timestamptz NOT NULL DEFAULT now(),
    first_at  timestamptz NOT NULL DEFAULT now(),
    error     text        NOT NULL DEFAULT '', -- class and reason of the last attempt
    patch     bytea       NOT NULL,            -- contact.v1.PropertyPatch
    PRIMARY KEY (tenant, system, contact)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

ALTER SEQUENCE lane_revision OWNED BY lane_row.revision;

-- Serves both the due rows of a lane, live first, and the lanes of a partition.
CREATE INDEX lane_row_due ON lane_row (system, partition, tenant, bulk, next_at);

CREATE TABLE lane_pause (
    tenant text        NOT NULL,
    system text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    until  timestamptz NOT NULL,
    class  text        NOT NULL,
    reason text        NOT NULL,
    PRIMARY KEY (tenant, system)
);

CREATE TABLE lane_day (
    tenant text    NOT NULL,
    system text    NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    day    date    NOT NULL, -- in the account's time zone
    used   integer NOT NULL, -- calls
    PRIMARY KEY (tenant, system)
);
