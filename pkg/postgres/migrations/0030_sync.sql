-- Written by ingest alone: sync_job, the jobs that walk all contacts of a
-- tenant. Written by the console alone: sync_request and sync_schedule.

-- What people asked for, and what they wish to become of it. A job that the schedule made gets a row when somebody wishes
-- something of it.
CREATE TABLE sync_request (
    id       text        PRIMARY KEY,
    tenant   text        NOT NULL,
    kind     text        NOT NULL CHECK (kind IN ('first_sync', 'reconcile', 'apply')),
    options  jsonb       NOT NULL,
    asked_by text        NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    wish     text        NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'cancel'))
);

CREATE INDEX sync_request_tenant ON sync_request (tenant, asked_at DESC);

-- How often a tenant is reconciled; a tenant
-- without a row is reconciled once a day, 0 seconds turn it off.
CREATE TABLE sync_schedule (
    tenant        text    PRIMARY KEY,
    every_seconds integer NOT NULL CHECK (every_seconds = 0 OR every_seconds >= 900)
);

-- The jobs, as ingest runs them.
CREATE TABLE sync_job (
    id          text        PRIMARY KEY,
    tenant      text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('first_sync', 'reconcile', 'apply')),
    options     jsonb       NOT NULL,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL,
    state       text        NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'paused', 'cancelled', 'done', 'failed')),
    cursor      jsonb       NOT NULL DEFAULT '{}', -- how far what was read is durably published
    counts      jsonb       NOT NULL DEFAULT '{}',
    started_at  timestamptz,
    finished_at timestamptz,
    failures    integer     NOT NULL DEFAULT 0,    -- in a row
    error       text        NOT NULL DEFAULT '',
    next_at     timestamptz NOT NULL DEFAULT now(),
    claimed_by  text        NOT NULL DEFAULT '',
    claimed_to  timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

CREATE INDEX sync_job_tenant ON sync_job (tenant, asked_at DESC);
CREATE INDEX sync_job_open ON sync_job (next_at) WHERE state IN ('queued', 'running', 'paused');
