-- Tenants as rows, terms that a family shares, who made a key, from where it may be used, and keys that were
-- asked for by a request that may come twice. Portable: SQLite and Postgres. Networks are JSON.
ALTER TABLE keys ADD COLUMN made_by TEXT CHECK (length(made_by) = 16);
ALTER TABLE keys ADD COLUMN addresses TEXT NOT NULL DEFAULT '[]';
ALTER TABLE keys ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE keys ADD COLUMN rotated_at BIGINT;

CREATE INDEX keys_by_tenant ON keys (tenant);

-- What an admin key could reach before, it reaches still.
UPDATE keys SET scopes = replace(scopes, '{"admin":[', '{"admin":["tenants:all",') WHERE kind = 'admin';

CREATE TABLE tenants (
    id         TEXT   NOT NULL PRIMARY KEY,
    title      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

INSERT INTO tenants (id, title, created_at)
SELECT tenant, '', min(created_at) FROM keys WHERE tenant <> 'default' GROUP BY tenant;
INSERT INTO tenants (id, title, created_at) VALUES ('default', '', 0);

-- `nonce` and the pepper together give the key again; rows are of no use after `expires_at`.
CREATE TABLE issued_once (
    maker      TEXT   NOT NULL CHECK (length(maker) = 16),
    token      TEXT   NOT NULL,
    request    TEXT   NOT NULL CHECK (length(request) = 64),
    nonce      TEXT   NOT NULL CHECK (length(nonce) = 64),
    key_id     TEXT   NOT NULL CHECK (length(key_id) = 16),
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (maker, token)
);
