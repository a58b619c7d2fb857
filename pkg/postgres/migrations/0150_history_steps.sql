-- Written by the mapper (contact_history). What one event decided about one
-- contact is one row: each step of it is an element of the arrays. A row with a
-- single step, and those of before, have it in the columns of their own, and no
-- arrays. (The creation of a contact is some forty steps, and most of a first
-- sync's writes to the database were rows of one step.)
ALTER TABLE contact_history
    ADD COLUMN step_fields   text[],
    ADD COLUMN step_systems  smallint[], -- 0 none, 1 hubspot, 2 aloware
    ADD COLUMN step_rules    text[],
    ADD COLUMN step_values   text[],
    ADD COLUMN step_edited   bigint[],
    ADD COLUMN step_versions bigint[],
    ADD COLUMN step_reasons  text[];     -- NULL where no step has one

-- Every step as a row. Numbers rise with the time of storing, and within a row
-- in the order of its steps.
CREATE VIEW contact_step WITH (security_invoker = true) AS
SELECT h.number * 65536 + s.n AS number, h.tenant, h.contact, h.at, s.field, s.system, s.rule, s.value, s.edited_ms, s.version,
       h.mapping_version, h.event_id, s.reason, h.traceparent
FROM contact_history h CROSS JOIN LATERAL (
    SELECT h.field, h.system, h.rule, h.value, h.edited_ms, h.version, h.reason, 0::bigint AS n WHERE h.step_rules IS NULL
    UNION ALL
    SELECT e.field, (ARRAY['none', 'hubspot', 'aloware'])[e.system + 1], e.rule, e.value, e.edited_ms, e.version, coalesce(e.reason, ''), e.n
    FROM unnest(h.step_fields, h.step_systems, h.step_rules, h.step_values, h.step_edited, h.step_versions, h.step_reasons)
         WITH ORDINALITY AS e(field, system, rule, value, edited_ms, version, reason, n) WHERE h.step_rules IS NOT NULL) s;
