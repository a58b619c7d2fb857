-- Written by the mapper alone, in the transaction that changes contact_problem:
-- how many problems of a cause a tenant has, so that nobody has to count them.
CREATE TABLE problem_count (
    tenant   text   NOT NULL,
    kind     text   NOT NULL,
    reason   text   NOT NULL,
    system   text   NOT NULL,
    field    text   NOT NULL, -- mapping key; '' for the contact as a whole
    contacts bigint NOT NULL, -- 0 when none has it any more
    PRIMARY KEY (tenant, kind, reason, system, field)
) WITH (fillfactor = 70);

-- problem_recount puts a tenant's numbers right, whatever made them wrong. It
-- first locks those that are there: whoever has changed one of them is waited
-- for, and counted by the next statement; whoever has not yet adds to what this
-- leaves.
CREATE FUNCTION problem_recount(whose text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM problem_count WHERE tenant = whose ORDER BY tenant, kind, reason, system, field FOR UPDATE;
    WITH truth AS (
        SELECT kind, reason, system, field, count(*) AS contacts FROM contact_problem WHERE tenant = whose GROUP BY 1, 2, 3, 4
    ), gone AS (
        DELETE FROM problem_count c WHERE tenant = whose
        AND NOT EXISTS (SELECT FROM truth t WHERE (t.kind, t.reason, t.system, t.field) = (c.kind, c.reason, c.system, c.field))
    )
    INSERT INTO problem_count AS c (tenant, kind, reason, system, field, contacts)
    SELECT whose, kind, reason, system, field, contacts FROM truth ORDER BY kind, reason, system, field
    ON CONFLICT (tenant, kind, reason, system, field) DO UPDATE SET contacts = excluded.contacts WHERE c.contacts <> excluded.contacts;
END
$$;

INSERT INTO problem_count (tenant, kind, reason, system, field, contacts)
SELECT tenant, kind, reason, system, field, count(*) FROM contact_problem GROUP BY 1, 2, 3, 4, 5;

-- The contacts of a cause in the order in which they met it.
CREATE INDEX contact_problem_since ON contact_problem (tenant, kind, reason, system, field, since, contact);
DROP INDEX contact_problem_group;

-- Written by the console alone (problem_dismissal): of which reason it is, so
-- that dismissals are counted without a look at each problem. A problem that
-- gets another reason is another problem, and takes its dismissal along.
DELETE FROM problem_dismissal d USING contact_problem p
WHERE p.tenant = d.tenant AND p.contact = d.contact AND p.field = d.field AND p.system = d.system AND p.kind = d.kind AND p.since <> d.since;
ALTER TABLE problem_dismissal ADD COLUMN reason text NOT NULL DEFAULT '';
UPDATE problem_dismissal d SET reason = p.reason FROM contact_problem p
WHERE p.tenant = d.tenant AND p.contact = d.contact AND p.field = d.field AND p.system = d.system AND p.kind = d.kind;
CREATE INDEX problem_dismissal_since ON problem_dismissal (tenant, kind, reason, system, field, since, contact);

-- A console of before this migration does not tell the reason.
CREATE FUNCTION dismissal_reason() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT p.reason INTO NEW.reason FROM contact_problem p
    WHERE p.tenant = NEW.tenant AND p.contact = NEW.contact AND p.field = NEW.field AND p.system = NEW.system AND p.kind = NEW.kind;
    NEW.reason := coalesce(NEW.reason, '');
    RETURN NEW;
END
$$;
CREATE TRIGGER dismissal_reason BEFORE INSERT ON problem_dismissal FOR EACH ROW WHEN (NEW.reason = '') EXECUTE FUNCTION dismissal_reason();

-- Written by the writers alone (lane_row): what failed, by its words, for people
-- to see. Rows that never failed are not in it.
CREATE INDEX lane_row_failed ON lane_row (tenant, system, error, first_at) INCLUDE (next_at) WHERE error <> '';
