-- Written by the console alone, read by all through package roster.

CREATE TABLE tenant (
    tenant    text    PRIMARY KEY,
    revision  bigint  NOT NULL DEFAULT 1, -- rises with each save; guards against two editors
    name      text    NOT NULL,
    region    text    NOT NULL DEFAULT 'US',
    time_zone text    NOT NULL DEFAULT 'UTC',
    active    boolean NOT NULL DEFAULT true,
    creation  text    NOT NULL DEFAULT 'both' CHECK (creation IN ('both', 'to_aloware', 'to_hubspot', 'none')),
    updates   text    NOT NULL DEFAULT 'both' CHECK (updates IN ('both', 'to_aloware', 'to_hubspot', 'none'))
);

-- Settings are JSON without secrets; secrets are sealed, one by one.
CREATE TABLE connection (
    tenant   text  NOT NULL REFERENCES tenant ON DELETE CASCADE,
    system   text  NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    settings jsonb NOT NULL,
    secrets  jsonb NOT NULL, -- name to base64 of the sealed text
    PRIMARY KEY (tenant, system)
);

-- A portal belongs to one tenant: its webhooks name the portal alone.
CREATE UNIQUE INDEX connection_portal ON connection ((settings ->> 'PortalID'))
    WHERE system = 'hubspot' AND settings ->> 'PortalID' <> '0';

CREATE TABLE app (
    app_id        bigint  PRIMARY KEY,
    client_id     text    NOT NULL,
    client_secret bytea   NOT NULL, -- sealed
    signature_v1  boolean NOT NULL DEFAULT false
);

-- Versions are added and never changed.
CREATE TABLE mapping_version (
    tenant     text        NOT NULL REFERENCES tenant ON DELETE CASCADE,
    version    bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    author     text        NOT NULL,
    reason     text        NOT NULL,
    mappings   jsonb       NOT NULL,
    PRIMARY KEY (tenant, version)
);
