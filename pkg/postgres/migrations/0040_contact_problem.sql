-- Written by the mapper alone, in the transaction that stores the contact.

-- What stands between a contact and being in step, for people to see.
CREATE TABLE contact_problem (
    tenant   text        NOT NULL,
    contact  text        NOT NULL,
    field    text        NOT NULL, -- mapping key; '' for the contact as a whole
    system   text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    kind     text        NOT NULL, -- refused, conflict, review, absent
    class    text        NOT NULL, -- fault class
    reason   text        NOT NULL, -- stable word
    message  text        NOT NULL, -- the system's own words
    value    text        NOT NULL, -- that was refused
    version  bigint      NOT NULL, -- of the decision that was refused; 0 for none
    since    timestamptz NOT NULL, -- when the reason was first met
    attempts integer     NOT NULL, -- how often it was met
    PRIMARY KEY (tenant, contact, field, system, kind)
);

CREATE INDEX contact_problem_group ON contact_problem (tenant, kind, reason, system, field, since);
