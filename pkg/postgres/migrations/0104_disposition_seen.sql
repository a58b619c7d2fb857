-- Written by the mapper alone, with the contacts' states: how many contacts have
-- which contact disposition in Aloware that nothing resolves, by its id there,
-- and what HubSpot has of the same contacts ('' where nothing is known). People
-- pair ids by it where the account does not list its dispositions.
CREATE TABLE disposition_seen (
    tenant   text        NOT NULL,
    id       text        NOT NULL, -- Aloware's
    value    text        NOT NULL, -- HubSpot's option
    contacts bigint      NOT NULL, -- 0 when none has it any more
    seen_at  timestamptz NOT NULL, -- when the number changed last
    PRIMARY KEY (tenant, id, value)
);
