-- Written by the console alone.

-- Somebody who may sign in. The password is an argon2id hash in its usual text
-- form; null for people who sign in by the organisation's provider alone.
CREATE TABLE person (
    person         text        PRIMARY KEY,
    login          text        NOT NULL UNIQUE CHECK (login = lower(login) AND login <> ''), -- e-mail address or name
    name           text        NOT NULL DEFAULT '',
    password       text,
    must_change    boolean     NOT NULL DEFAULT false, -- the password was made by somebody else
    password_until timestamptz,                        -- a password made by somebody else is good until then
    issuer         text,
    subject        text,
    disabled       boolean     NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now(),
    seen_at        timestamptz,
    UNIQUE (issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
);

-- The tenant '*' is everywhere. Roles are those of package access, by rank.
CREATE TABLE person_role (
    tenant text     NOT NULL,
    person text     NOT NULL REFERENCES person ON DELETE CASCADE,
    role   smallint NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (tenant, person)
);
CREATE INDEX person_role_person ON person_role (person);

-- A browser that is signed in. Only the hash of its token is stored.
CREATE TABLE session (
    hash       bytea       PRIMARY KEY,
    person     text        NOT NULL REFERENCES person ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    used_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_person ON session (person);

-- A program that may call the API. Only the hash of its token is stored.
CREATE TABLE api_token (
    token      text        PRIMARY KEY,
    hash       bytea       NOT NULL UNIQUE,
    name       text        NOT NULL,
    created_by text        NOT NULL, -- name of who made it
    maker      text        REFERENCES person ON DELETE SET NULL, -- null where that was no person
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_token_maker ON api_token (maker);

CREATE TABLE api_token_role (
    tenant text     NOT NULL,
    token  text     NOT NULL REFERENCES api_token ON DELETE CASCADE,
    role   smallint NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (tenant, token)
);
CREATE INDEX api_token_role_token ON api_token_role (token);

-- A sign-in by the organisation's provider that has begun. It is removed by
-- the first answer, so that no answer counts twice.
CREATE TABLE oidc_attempt (
    state      bytea       PRIMARY KEY, -- hash
    nonce      text        NOT NULL,
    verifier   text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_attempt_expires ON oidc_attempt (expires_at);
