-- Written by the mapper (contact_state, contact_history) and the writers (lane_row).
-- What contacts, their waiting patches and decisions are stored as is written a few
-- times and read once: a fast compression costs less than it saves, PostgreSQL's own
-- one a tenth of all that the database does in a first sync. A server that was built
-- without it keeps its own.
DO $$
BEGIN
	ALTER TABLE contact_state ALTER COLUMN state SET COMPRESSION lz4;
	ALTER TABLE lane_row ALTER COLUMN patch SET COMPRESSION lz4;
	ALTER TABLE contact_history ALTER COLUMN step_fields SET COMPRESSION lz4, ALTER COLUMN step_rules SET COMPRESSION lz4,
		ALTER COLUMN step_values SET COMPRESSION lz4, ALTER COLUMN step_edited SET COMPRESSION lz4,
		ALTER COLUMN step_versions SET COMPRESSION lz4, ALTER COLUMN step_reasons SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
	RAISE NOTICE 'this server has no lz4';
END
$$;
