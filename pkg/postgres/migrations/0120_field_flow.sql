-- Written by the mapper alone: how many contacts each field changes, so that a
-- burst is recognised, and what of it waits for an answer. The answers are the
-- console's: rows of sync_request whose options name the hold.

-- Contacts that a field changed in one system, by the hour of their edits. What
-- was held does not count.
CREATE TABLE field_flow (
    tenant   text   NOT NULL,
    field    text   NOT NULL, -- mapping key
    system   text   NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    hour_ms  bigint NOT NULL, -- its beginning
    contacts bigint NOT NULL,
    PRIMARY KEY (tenant, field, system, hour_ms)
) WITH (fillfactor = 70);

-- The present ten minutes of each source: a slot of five and the one before.
CREATE TABLE field_window (
    tenant text   NOT NULL,
    field  text   NOT NULL,
    system text   NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    source text   NOT NULL, -- '' where the system tells none
    slot   bigint NOT NULL, -- number of the slot since 1970
    now    bigint NOT NULL, -- contacts in it
    before bigint NOT NULL, -- contacts in the one before
    PRIMARY KEY (tenant, field, system, source)
) WITH (fillfactor = 70);

-- Bursts that were held.
CREATE TABLE field_hold (
    tenant          text        NOT NULL,
    hold            text        NOT NULL,
    field           text        NOT NULL,
    system          text        NOT NULL CHECK (system IN ('hubspot', 'aloware')), -- that is not written
    source          text        NOT NULL,
    mapping_version bigint      NOT NULL,
    binding         text        NOT NULL, -- what the mapping joined then: with another one the hold lapses
    since           timestamptz NOT NULL,
    passed          bigint      NOT NULL, -- contacts that were written before it was recognised
    threshold       bigint      NOT NULL,
    ended_at        timestamptz,          -- NULL while it is open or being carried out
    lapsed          boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, hold)
);

CREATE INDEX field_hold_open ON field_hold (tenant) WHERE ended_at IS NULL;
CREATE INDEX field_hold_ended ON field_hold (tenant, ended_at) WHERE ended_at IS NOT NULL;

-- The values that they keep from being written.
CREATE TABLE held_value (
    tenant     text   NOT NULL,
    contact    text   NOT NULL,
    field      text   NOT NULL,
    hold       text   NOT NULL,
    before     text   NOT NULL, -- what the system has
    after      text   NOT NULL, -- what would be written
    edited_ms  bigint NOT NULL, -- by the clock of the edit's own system
    PRIMARY KEY (tenant, hold, contact, field)
);

CREATE INDEX held_value_contact ON held_value (tenant, contact);
