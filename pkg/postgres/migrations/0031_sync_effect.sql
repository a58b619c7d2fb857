-- Written by the mapper alone: what came of a job's events, counted in the
-- transaction that stores the decisions, so that nothing is counted twice.
CREATE TABLE sync_effect (
    tenant text   NOT NULL,
    job    text   NOT NULL,
    cause  text   NOT NULL, -- "new_contact", "changed_hubspot", "written_aloware", ...
    n      bigint NOT NULL,
    PRIMARY KEY (tenant, job, cause)
) WITH (fillfactor = 50);
