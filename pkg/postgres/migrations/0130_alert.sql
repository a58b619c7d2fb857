-- Written by the console alone.

-- Whose turn it is to look for changes of state: whichever console locks the
-- row after next_at looks, and says when the next one does.
CREATE TABLE alert_watch (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    next_at timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO alert_watch DEFAULT VALUES;

-- Where alerts of a tenant go. An address of a webhook can be a secret in
-- itself, so that it is sealed too.
CREATE TABLE alert_target (
    tenant     text        NOT NULL REFERENCES tenant ON DELETE CASCADE,
    target     text        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('webhook', 'mail')),
    name       text        NOT NULL,
    shown      text        NOT NULL,              -- what people see of a webhook's address
    url        bytea,                             -- sealed; null for mail
    secret     bytea,                             -- sealed; null for mail
    addresses  text[]      NOT NULL DEFAULT '{}', -- of mail
    kinds      text[]      NOT NULL DEFAULT '{}', -- of alerts that are wanted; empty is all
    words      boolean     NOT NULL DEFAULT false, -- with the systems' own words
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, target),
    CHECK ((kind = 'webhook') = (url IS NOT NULL AND secret IS NOT NULL)),
    CHECK ((kind = 'mail') = (cardinality(addresses) > 0))
);

-- What is the case, and what of it was told. A row goes when nothing is the
-- case any more, that was told, and the time within which a change back and
-- forth counts as one is over.
CREATE TABLE alert_state (
    tenant  text        NOT NULL,
    kind    text        NOT NULL,
    key     text        NOT NULL, -- what it is about, within the kind
    since   timestamptz NOT NULL,
    gone_at timestamptz,                    -- since when it is not the case; null while it is
    told    boolean     NOT NULL DEFAULT false, -- what was told last is that it is the case
    told_at timestamptz,                    -- when that was told last
    contact text        NOT NULL DEFAULT '', -- '' for none
    subject text        NOT NULL DEFAULT '', -- hash of the contact that remains of an erased person
    detail  jsonb       NOT NULL,
    PRIMARY KEY (tenant, kind, key)
);

CREATE INDEX alert_state_subject ON alert_state (tenant, subject) WHERE subject <> '';

-- What was told: one or more changes of state of a tenant at a time.
CREATE TABLE alert (
    tenant text        NOT NULL,
    number bigint      GENERATED ALWAYS AS IDENTITY,
    id     text        NOT NULL UNIQUE, -- what receivers know it by
    at     timestamptz NOT NULL,
    PRIMARY KEY (tenant, number)
);

CREATE INDEX alert_at ON alert (at);

CREATE TABLE alert_change (
    tenant   text        NOT NULL,
    number   bigint      NOT NULL,
    place    integer     NOT NULL,
    kind     text        NOT NULL,
    key      text        NOT NULL,
    open     boolean     NOT NULL, -- false: it is over
    since    timestamptz NOT NULL,
    contacts integer     NOT NULL, -- that it concerns; 0 for none
    contact  text        NOT NULL, -- the first of them; '' for none
    subject  text        NOT NULL,
    detail   jsonb       NOT NULL,
    PRIMARY KEY (tenant, number, place),
    FOREIGN KEY (tenant, number) REFERENCES alert ON DELETE CASCADE
);

CREATE INDEX alert_change_subject ON alert_change (tenant, subject) WHERE subject <> '';

CREATE TABLE alert_delivery (
    tenant    text        NOT NULL,
    number    bigint      NOT NULL,
    target    text        NOT NULL,
    recipient text        NOT NULL, -- address of mail; '' for a webhook
    state     text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'undeliverable')),
    attempts  integer     NOT NULL DEFAULT 0,
    next_at   timestamptz NOT NULL DEFAULT now(), -- also the end of somebody's attempt
    tried_at  timestamptz,
    answer    text        NOT NULL DEFAULT '',    -- to the last attempt
    PRIMARY KEY (tenant, number, target, recipient),
    FOREIGN KEY (tenant, number) REFERENCES alert ON DELETE CASCADE,
    FOREIGN KEY (tenant, target) REFERENCES alert_target ON DELETE CASCADE
);

-- A target is told in order: of each recipient's, only the first that waits is due.
CREATE INDEX alert_delivery_waits ON alert_delivery (tenant, target, recipient, number) WHERE state = 'waiting';

CREATE INDEX alert_delivery_target ON alert_delivery (tenant, target, number DESC);
