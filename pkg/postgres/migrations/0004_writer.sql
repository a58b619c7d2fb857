-- Written by the writers alone: what must still be written, and lanes that
-- are paused.

CREATE TABLE lane_row (
    tenant    text        NOT NULL,
    system    text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    contact   text        NOT NULL,
    partition integer     NOT NULL,
    bulk      boolean     NOT NULL, -- may wait behind live rows
    version   bigint      NOT NULL, -- highest version merged into the patch
    attempts  integer     NOT NULL DEFAULT 0,
    next_at   timestamptz NOT NULL DEFAULT now(),
    first_at  timestamptz NOT NULL DEFAULT now(),
    error     text        NOT NULL DEFAULT '', -- class and reason of the last attempt
    patch     bytea       NOT NULL,            -- contact.v1.PropertyPatch
    PRIMARY KEY (tenant, system, contact)
) WITH (fillfactor = 70);

CREATE INDEX lane_row_due ON lane_row (tenant, system, bulk, next_at);
CREATE INDEX lane_row_partition ON lane_row (system, partition, next_at);

CREATE TABLE lane_pause (
    tenant text        NOT NULL,
    system text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    until  timestamptz NOT NULL,
    class  text        NOT NULL,
    reason text        NOT NULL,
    PRIMARY KEY (tenant, system)
);
