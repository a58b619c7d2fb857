-- Written by ingest alone: where each repeated reading of a system stands.

CREATE TABLE read_cursor (
    tenant     text        NOT NULL,
    system     text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    reading    text        NOT NULL, -- "changes" or "lists"
    next_at    timestamptz NOT NULL DEFAULT now(),
    claimed_by text        NOT NULL DEFAULT '',
    claimed_to timestamptz NOT NULL DEFAULT '-infinity',
    since_ms   bigint      NOT NULL DEFAULT 0, -- by the system's clock; 0 before the first reading
    failures   integer     NOT NULL DEFAULT 0,
    error      text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, system, reading)
);

CREATE INDEX read_cursor_due ON read_cursor (next_at);
