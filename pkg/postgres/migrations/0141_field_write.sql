-- Written by the mapper alone, in the transaction that stores the contacts: how
-- many values of a field a system has answered for as written, by the hour, and
-- when the last one was. What came of the live and of the bulk streams has rows
-- of its own, so that neither waits for the other's transaction. Hours of before
-- yesterday go; the last one of each field stays, whenever it was.
CREATE TABLE field_write (
    tenant text        NOT NULL,
    field  text        NOT NULL, -- mapping key
    system text        NOT NULL, -- that was written
    hour   timestamptz NOT NULL, -- its beginning
    bulk   boolean     NOT NULL,
    writes bigint      NOT NULL,
    last   timestamptz NOT NULL,
    PRIMARY KEY (tenant, field, system, hour, bulk)
) WITH (fillfactor = 50); -- a row is changed with each batch of its hour: in its page
