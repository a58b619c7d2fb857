-- Written by ingest alone, when a job has listed all contacts of a portal: by
-- which numbers and e-mails they are found, as hashes. Writers look creations of
-- the bulk streams up here, because HubSpot's search allows five calls a second.
-- It can be made again at any time, so a crash may empty it.
CREATE UNLOGGED TABLE portal_key (
    tenant text   NOT NULL,
    key    bytea  NOT NULL, -- of a canonical number or e-mail
    id     text   NOT NULL, -- HubSpot's
    PRIMARY KEY (tenant, key, id)
);

-- Which portals are listed, by which job, and since when to the end. It is
-- emptied with the keys.
CREATE UNLOGGED TABLE portal_index (
    tenant      text PRIMARY KEY,
    portal      bigint      NOT NULL, -- a tenant may be connected to another one later
    job         text        NOT NULL,
    complete_at timestamptz -- null while the job is listing
);
