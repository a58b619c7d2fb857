-- Written by the writer every few seconds for lanes that call; shown by the
-- console. Nothing depends on it, so a crash may empty it.
CREATE UNLOGGED TABLE lane_use (
    tenant text        NOT NULL,
    system text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    used   integer     NOT NULL, -- calls in the last ten seconds
    most   integer     NOT NULL, -- that may be made in ten seconds; 0 is not known
    today  integer     NOT NULL, -- calls since midnight in the account's zone, where the day is limited
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, system)
) WITH (fillfactor = 50);
