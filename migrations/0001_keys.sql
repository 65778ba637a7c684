-- Everything that is stored of an API key. Portable: SQLite and Postgres.
-- Times are milliseconds since the Unix epoch; scopes and limits are JSON.
CREATE TABLE keys (
    id           TEXT   NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    family       TEXT   NOT NULL CHECK (length(family) = 16),
    tenant       TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    hash         TEXT   NOT NULL,
    pepper_kid   TEXT   NOT NULL CHECK (length(pepper_kid) = 1),
    kind         TEXT   NOT NULL CHECK (kind IN ('inference', 'admin')),
    scopes       TEXT   NOT NULL,
    limits       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    not_before   BIGINT,
    expires_at   BIGINT,
    rotated_to   TEXT   CHECK (length(rotated_to) = 16),
    grace_until  BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

CREATE INDEX keys_by_family ON keys (family);
