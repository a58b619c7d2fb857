-- Written by every service that reads partitions (mapper, writers), each under
-- its own stage names: who owns which partition, and how far it is applied.

CREATE TABLE partition_lease (
    stage          text        NOT NULL, -- "mapper", "mapper-bulk", "writer-hubspot", ...
    partition      integer     NOT NULL,
    owner          text        NOT NULL DEFAULT '', -- for people; '' while free
    session        text        NOT NULL DEFAULT '', -- the very process behind the name
    epoch          bigint      NOT NULL DEFAULT 0,  -- rises at every take-over
    expires_at     timestamptz NOT NULL DEFAULT '-infinity',
    applied_seq    bigint      NOT NULL DEFAULT 0,
    applied_at     timestamptz,                     -- stored time of that message
    stream_created timestamptz,
    updated_at     timestamptz,                     -- when the watermark last moved
    PRIMARY KEY (stage, partition)
) WITH (fillfactor = 50);

-- Who is alive, to share the partitions out evenly.
CREATE TABLE stage_member (
    stage      text        NOT NULL,
    owner      text        NOT NULL,
    session    text        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (stage, owner, session)
) WITH (fillfactor = 50);
