-- Written by the console alone.

-- Who changed what. An entry is made before the change, with the outcome
-- 'begun', which the end of the change replaces; nothing else is ever changed.
CREATE TABLE audit (
    tenant  text        NOT NULL, -- '' is the installation
    number  bigint      GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL,
    caller  text        NOT NULL, -- name
    kind    text        NOT NULL, -- person, token, operator or none
    id      text        NOT NULL, -- of the person or token
    action  text        NOT NULL,
    object  text        NOT NULL,
    detail  jsonb       NOT NULL,
    outcome text        NOT NULL,
    reason  text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, at, number)
) PARTITION BY RANGE (at);

CREATE INDEX audit_number ON audit (number);
CREATE INDEX audit_tenant ON audit (tenant, number);

-- Whatever comes outside the partitions made ahead is kept all the same.
CREATE TABLE audit_default PARTITION OF audit DEFAULT;

-- audit_partitions makes the partitions of this and the next month, and drops
-- those that ended more than keep_days ago, also from the default partition.
CREATE FUNCTION audit_partitions(keep_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
    part  text;
BEGIN
    FOR i IN 0..1 LOOP
        month := (date_trunc('month', now()) + make_interval(months => i))::date;
        part  := 'audit_' || to_char(month, 'YYYYMM');
        IF to_regclass(part) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF audit FOR VALUES FROM (%L) TO (%L)',
                    part, month, (month + interval '1 month')::date);
            EXCEPTION
                WHEN duplicate_table THEN NULL;  -- another process made it
                WHEN check_violation THEN NULL;  -- the default partition holds rows of that month already
            END;
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit'::regclass AND c.relname ~ '^audit_[0-9]{6}$'
          AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') < now() - make_interval(days => keep_days)
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', part);
    END LOOP;
    DELETE FROM audit_default WHERE at < now() - make_interval(days => keep_days);
END
$$;

SELECT audit_partitions(400);
