-- Written by the mapper (contact_history). What came outside the partitions
-- made ahead moves into its month's partition when that is made, so that it can
-- be made, and what is too old goes from the default partition too.
CREATE OR REPLACE FUNCTION history_partitions(keep_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
    part  text;
BEGIN
    FOR i IN 0..1 LOOP
        month := (date_trunc('month', now()) + make_interval(months => i))::date;
        part  := 'contact_history_' || to_char(month, 'YYYYMM');
        IF to_regclass(part) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I (LIKE contact_history INCLUDING DEFAULTS)', part);
                EXECUTE format('WITH moved AS (DELETE FROM contact_history_default WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                    month, (month + interval '1 month')::date, part);
                EXECUTE format('ALTER TABLE contact_history ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part, month, (month + interval '1 month')::date);
            EXCEPTION
                WHEN duplicate_table THEN NULL;  -- another process made it
                WHEN check_violation THEN NULL;  -- a row of that month came in between: the next day does it
            END;
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'contact_history'::regclass AND c.relname ~ '^contact_history_[0-9]{6}$'
          AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') < now() - make_interval(days => keep_days)
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', part);
    END LOOP;
    DELETE FROM contact_history_default WHERE at < now() - make_interval(days => keep_days);
END
$$;
