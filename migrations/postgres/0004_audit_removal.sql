-- What is older than it is kept is removed from a log: a signed stub takes its place, and `first` is the first record that
-- stays. Rows before it are as good as gone.
ALTER TABLE audit_logs ADD COLUMN stub TEXT;
ALTER TABLE audit_logs ADD COLUMN first BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_records ADD COLUMN written_at TIMESTAMPTZ NOT NULL DEFAULT now();
-- How far a log was handed on to a collector.
ALTER TABLE audit_logs ADD COLUMN exported BIGINT NOT NULL DEFAULT 0;
