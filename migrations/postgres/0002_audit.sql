-- The audit trail of gateways that share a database: one log per gateway, each with one writer.
-- A gateway holds a log for as long as it renews `held_until`; `epoch` grows with every claim and every
-- repair, so that a statement that was given up can never write later.
CREATE TABLE audit_logs (
    log        BIGINT      NOT NULL PRIMARY KEY,
    holder     TEXT        NOT NULL,
    held_until TIMESTAMPTZ NOT NULL,
    epoch      BIGINT      NOT NULL,
    size       BIGINT      NOT NULL,
    checkpoint TEXT
);

-- `record` is JSON, kept as TEXT because the signatures are over its very bytes.
CREATE TABLE audit_records (
    log        BIGINT NOT NULL,
    sequence   BIGINT NOT NULL,
    request_id TEXT   NOT NULL,
    record     TEXT   NOT NULL,
    PRIMARY KEY (log, sequence)
);

CREATE INDEX audit_records_by_request ON audit_records (request_id);
