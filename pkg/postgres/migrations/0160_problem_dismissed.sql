-- Written by the mapper alone (contact_problem, problem_count), but for the
-- columns dismissed_by, dismissed_at and dismissed, which are the console's.

-- Who does not want to see a problem any more. It stands at the problem, so that
-- what nobody dismissed has an index of its own, and no page walks past the
-- rest. A problem that goes away takes its dismissal along; one that comes back
-- is another row, and is seen again.
ALTER TABLE contact_problem
    ADD COLUMN dismissed_by text NOT NULL DEFAULT '', -- '' while nobody did
    ADD COLUMN dismissed_at timestamptz;

UPDATE contact_problem p SET dismissed_by = d.author, dismissed_at = d.at FROM problem_dismissal d
WHERE d.tenant = p.tenant AND d.contact = p.contact AND d.field = p.field AND d.system = p.system AND d.kind = p.kind AND d.since = p.since;

-- The contacts of a cause that nobody dismissed, in the order in which they met it.
CREATE INDEX contact_problem_open ON contact_problem (tenant, kind, reason, system, field, since, contact) WHERE dismissed_by = '';

ALTER TABLE problem_count ADD COLUMN dismissed bigint NOT NULL DEFAULT 0; -- of contacts

CREATE OR REPLACE FUNCTION problem_recount(whose text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM problem_count WHERE tenant = whose ORDER BY tenant, kind, reason, system, field FOR UPDATE;
    WITH truth AS (
        SELECT kind, reason, system, field, count(*) AS contacts, count(*) FILTER (WHERE dismissed_by <> '') AS dismissed
        FROM contact_problem WHERE tenant = whose GROUP BY 1, 2, 3, 4
    ), gone AS (
        DELETE FROM problem_count c WHERE tenant = whose
        AND NOT EXISTS (SELECT FROM truth t WHERE (t.kind, t.reason, t.system, t.field) = (c.kind, c.reason, c.system, c.field))
    )
    INSERT INTO problem_count AS c (tenant, kind, reason, system, field, contacts, dismissed)
    SELECT whose, kind, reason, system, field, contacts, dismissed FROM truth ORDER BY kind, reason, system, field
    ON CONFLICT (tenant, kind, reason, system, field) DO UPDATE SET contacts = excluded.contacts, dismissed = excluded.dismissed
    WHERE c.contacts <> excluded.contacts OR c.dismissed <> excluded.dismissed;
END
$$;

UPDATE problem_count c SET dismissed = n.dismissed FROM (
    SELECT tenant, kind, reason, system, field, count(*) AS dismissed FROM contact_problem WHERE dismissed_by <> '' GROUP BY 1, 2, 3, 4, 5
) n WHERE (n.tenant, n.kind, n.reason, n.system, n.field) = (c.tenant, c.kind, c.reason, c.system, c.field);

-- A console of before this migration writes problem_dismissal, and nothing else
-- does any more: what it dismisses is marked. The mapper's next start counts it.
DROP INDEX problem_dismissal_since;

CREATE FUNCTION dismissal_mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE contact_problem SET dismissed_by = '', dismissed_at = NULL
        WHERE tenant = OLD.tenant AND contact = OLD.contact AND field = OLD.field AND system = OLD.system AND kind = OLD.kind;
        RETURN OLD;
    END IF;
    UPDATE contact_problem SET dismissed_by = NEW.author, dismissed_at = NEW.at
    WHERE tenant = NEW.tenant AND contact = NEW.contact AND field = NEW.field AND system = NEW.system AND kind = NEW.kind AND since = NEW.since;
    RETURN NEW;
END
$$;
CREATE TRIGGER dismissal_mark AFTER INSERT OR UPDATE OR DELETE ON problem_dismissal FOR EACH ROW EXECUTE FUNCTION dismissal_mark();
