-- Written by ingest alone: how often which property of a system came back after
-- it was away or of another type, by name. What it held before may be gone.
ALTER TABLE property_schema ADD COLUMN renewed jsonb NOT NULL DEFAULT '{}';
