-- Written by the mapper (contact_history). The console asks for the last
-- minute's decisions of everybody: rows come in the order of time, so that a
-- small block index finds them without weighing on the writes.
CREATE INDEX contact_history_at ON contact_history USING brin (at) WITH (pages_per_range = 16);
