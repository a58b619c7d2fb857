-- Written by the console alone: how many contacts a field may change within ten
-- minutes before a burst is held; 0 holds nothing.
ALTER TABLE tenant ADD COLUMN burst_floor bigint NOT NULL DEFAULT 500 CHECK (burst_floor >= 0);
