-- Written by every service that reads partitions (mapper, writers): who owns
-- which partition, and how far it is applied.

CREATE TABLE partition_lease (
    stage          text        NOT NULL, -- "mapper", "mapper-bulk", "writer-hubspot", ...
    partition      integer     NOT NULL,
    owner          text        NOT NULL DEFAULT '',
    epoch          bigint      NOT NULL DEFAULT 0, -- rises at every take-over
    expires_at     timestamptz NOT NULL DEFAULT '-infinity',
    applied_seq    bigint      NOT NULL DEFAULT 0,
    applied_at     timestamptz,                    -- stored time of that message
    stream_created timestamptz,
    PRIMARY KEY (stage, partition)
);

-- Who is alive, to share the partitions out evenly.
CREATE TABLE stage_member (
    stage      text        NOT NULL,
    owner      text        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (stage, owner)
);
