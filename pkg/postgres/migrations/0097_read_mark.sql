-- Written by ingest alone: where within a changed-since reading the next one
-- goes on, in ingest's own words; '' at the beginning of one.

ALTER TABLE read_cursor ADD COLUMN mark text NOT NULL DEFAULT '';
