-- Written by ingest alone: which contacts a job has seen while it walks all of a
-- side, so that those that are linked and were not seen are looked for. It can
-- be made again at any time, so a crash may empty it.
CREATE UNLOGGED TABLE sync_seen (
    tenant text NOT NULL,
    job    text NOT NULL,
    system text NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    id     text NOT NULL, -- the system's; '' tells that the walk has begun, and nothing was lost since
    PRIMARY KEY (tenant, job, system, id)
);

-- Lists of portals that never came to their end are forgotten too, and so are
-- persons.
ALTER TABLE portal_index ADD COLUMN began_at timestamptz NOT NULL DEFAULT now();

CREATE INDEX portal_key_id ON portal_key (tenant, id);
