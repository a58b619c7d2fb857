-- Written by the mapper (contact_state). People look for contacts by the
-- beginning of a name, which is the first or what follows it.
CREATE INDEX contact_state_last_name ON contact_state (tenant, lower(substring(name from ' (.*)$')) text_pattern_ops) WHERE name LIKE '% %';
