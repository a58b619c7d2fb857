-- Written by the console alone: when a wish of sync_request was uttered, so that
-- the wish to go on counts for a job that failed before it, and not for ever.
ALTER TABLE sync_request ADD COLUMN wished_at timestamptz NOT NULL DEFAULT now();
