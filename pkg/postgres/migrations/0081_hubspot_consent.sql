-- Written by the console. A consent in HubSpot that somebody began and that is
-- not finished yet; state is a hash, and each row is taken once.
CREATE TABLE hubspot_consent (
    state      bytea PRIMARY KEY,
    tenant     text NOT NULL REFERENCES tenant ON DELETE CASCADE,
    app_id     bigint NOT NULL,
    person     text NOT NULL,
    verifier   text NOT NULL,
    expires_at timestamptz NOT NULL
);
