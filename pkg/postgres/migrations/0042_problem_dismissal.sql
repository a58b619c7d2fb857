-- Written by the console alone.

-- Who does not want to see a problem any more. A problem that goes away takes
-- its dismissal along; one that comes back with another reason has another
-- since, and is seen again.
CREATE TABLE problem_dismissal (
    tenant  text        NOT NULL,
    contact text        NOT NULL,
    field   text        NOT NULL,
    system  text        NOT NULL,
    kind    text        NOT NULL,
    since   timestamptz NOT NULL,
    author  text        NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, contact, field, system, kind),
    FOREIGN KEY (tenant, contact, field, system, kind) REFERENCES contact_problem ON DELETE CASCADE
);
