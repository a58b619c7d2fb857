-- Written by ingest alone: jobs over all contacts of a tenant, and where each
-- stands, so that it goes on there after a restart.

CREATE TABLE job (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    tenant       text        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('first_sync', 'reconcile', 'apply')),
    sides        text[]      NOT NULL,
    fields       text[]      NOT NULL,
    state        text        NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'cancelled', 'done', 'failed')),
    cursor       text        NOT NULL DEFAULT '',
    side         integer     NOT NULL DEFAULT 0,
    total        bigint      NOT NULL DEFAULT 0,
    looked       bigint      NOT NULL DEFAULT 0,
    failures     integer     NOT NULL DEFAULT 0,
    requested_by text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    ended_at     timestamptz,
    error        text        NOT NULL DEFAULT '',
    claimed_by   text        NOT NULL DEFAULT '',
    claimed_to   timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (tenant, id)
);

-- One unfinished job of a kind and tenant at a time.
CREATE UNIQUE INDEX job_unfinished ON job (tenant, kind) WHERE state IN ('queued', 'running', 'paused');

CREATE INDEX job_due ON job (claimed_to) WHERE state IN ('queued', 'running');
