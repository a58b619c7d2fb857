-- Written by the writers alone. A lane tells how often in a row its credentials were
-- refused, and which they were (a hash), so that one that answers between two refusals
-- is not taken for one that never does.
ALTER TABLE lane_pause ADD COLUMN refusals integer NOT NULL DEFAULT 0, ADD COLUMN credential text NOT NULL DEFAULT '';
