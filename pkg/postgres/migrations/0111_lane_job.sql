-- Written by the writers alone: the job over all contacts that a waiting row
-- came of, so that the job's progress is counted, and its pause and end obeyed;
-- '' where people's edits, or nobody's job, led to it.
ALTER TABLE lane_row ADD COLUMN job text NOT NULL DEFAULT '';

CREATE INDEX lane_row_job ON lane_row (tenant, job, system) WHERE job <> '';

-- What goes out in bulk while a job is held.
CREATE INDEX lane_row_jobless ON lane_row (system, partition, tenant, next_at) WHERE bulk AND job = '';

-- Written by the console alone: the wishes that writers obey.
CREATE INDEX sync_request_wish ON sync_request (id) WHERE wish <> 'run';
