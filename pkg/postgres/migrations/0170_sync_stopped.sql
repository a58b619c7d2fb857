-- Written by ingest alone.

-- Jobs that failed, or that do not get on at the moment, are looked for among
-- those of all tenants.
CREATE INDEX sync_job_stopped ON sync_job (tenant) WHERE state = 'failed' OR failures > 0;
