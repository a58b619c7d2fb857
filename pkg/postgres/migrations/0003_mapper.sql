-- Written by the mapper alone: what is known of each contact, by what it is
-- found, the lists of users and options, the communications that were counted,
-- and the history of decisions.

CREATE TABLE contact_state (
    tenant     text    NOT NULL,
    contact    text    NOT NULL, -- Lockstep's own key, "hubspot:501"
    revision   bigint  NOT NULL, -- rises with each save; guards against two savers
    version    bigint  NOT NULL, -- highest version given to a decision
    waits_list boolean NOT NULL, -- a field waits for a user or option list
    state      bytea   NOT NULL, -- contact.v1.ContactState
    PRIMARY KEY (tenant, contact)
) WITH (fillfactor = 80);

CREATE INDEX contact_state_waits ON contact_state (tenant) WHERE waits_list;

-- What a contact is found by: ids in both systems, phone numbers, e-mail. The
-- kind "erased" holds hashes of the ids of people who asked to be forgotten.
CREATE TABLE contact_ref (
    tenant  text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('key', 'hubspot', 'aloware', 'phone', 'email', 'erased')),
    value   text NOT NULL,
    contact text NOT NULL,
    PRIMARY KEY (tenant, kind, value, contact)
);

CREATE INDEX contact_ref_contact ON contact_ref (tenant, contact);

CREATE TABLE system_list (
    tenant  text        NOT NULL,
    system  text        NOT NULL CHECK (system IN ('hubspot', 'aloware')),
    list    text        NOT NULL,
    read_at timestamptz NOT NULL,
    entries jsonb       NOT NULL,
    PRIMARY KEY (tenant, system, list)
);

CREATE TABLE communication (
    tenant        text NOT NULL,
    communication text NOT NULL,
    contact       text NOT NULL,
    PRIMARY KEY (tenant, communication)
);

CREATE TABLE contact_history (
    tenant          text        NOT NULL,
    contact         text        NOT NULL,
    at              timestamptz NOT NULL,
    field           text        NOT NULL, -- mapping key; '' for the contact as a whole
    system          text        NOT NULL,
    rule            text        NOT NULL,
    value           text        NOT NULL,
    edited_ms       bigint      NOT NULL, -- by the system's clock
    version         bigint      NOT NULL,
    mapping_version bigint      NOT NULL,
    event_id        text        NOT NULL,
    reason          text        NOT NULL,
    traceparent     text        NOT NULL
) PARTITION BY RANGE (at);

CREATE INDEX contact_history_contact ON contact_history (tenant, contact, at DESC);

-- Whatever comes outside the partitions made ahead is kept all the same.
CREATE TABLE contact_history_default PARTITION OF contact_history DEFAULT;

-- history_partitions makes the partitions of this and the next month, and
-- drops those that ended more than keep_days ago.
CREATE FUNCTION history_partitions(keep_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
    part  text;
BEGIN
    FOR i IN 0..1 LOOP
        month := (date_trunc('month', now()) + make_interval(months => i))::date;
        part  := 'contact_history_' || to_char(month, 'YYYYMM');
        IF to_regclass(part) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF contact_history FOR VALUES FROM (%L) TO (%L)',
                    part, month, (month + interval '1 month')::date);
            EXCEPTION
                WHEN duplicate_table THEN NULL;  -- another process made it
                WHEN check_violation THEN NULL;  -- the default partition holds rows of that month already
            END;
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'contact_history'::regclass AND c.relname ~ '^contact_history_[0-9]{6}$'
          AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') < now() - make_interval(days => keep_days)
    LOOP
        EXECUTE format('DROP TABLE %I', part);
    END LOOP;
END
$$;

SELECT history_partitions(400);
