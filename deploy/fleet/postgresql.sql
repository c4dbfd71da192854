-- Events of ipe-auditd in PostgreSQL (14 or later): a table, and a way in that takes
-- lines of JSON and keeps each event once.
--
--     psql -f postgresql.sql fleet
--     ipe-auditd tail --json nats://n1.example.com:4222/IPE | psql -f copy.sql fleet
--
-- The questions are in queries.sql.

CREATE TABLE ipe_events (
    host     text,
    boot_id  text,
    spool    text,               -- with seq, the identity of an event
    seq      bigint,
    time     timestamptz,        -- when it happened, by the host's clock
    received timestamptz NOT NULL DEFAULT now(),
    event    text NOT NULL,
    verdict  text,
    data     jsonb NOT NULL,     -- all of it
    -- Clones of an image may have one spool and seq, so the host belongs to it. What
    -- a reader alone was told (no seq) is kept as often as it comes.
    UNIQUE (host, spool, seq)
);
CREATE INDEX ON ipe_events USING brin (time);
CREATE INDEX ON ipe_events (host, time DESC) WHERE event IN ('started', 'heartbeat', 'policy_activate', 'enforcement');
CREATE INDEX ON ipe_events (time) WHERE verdict IN ('denied', 'would_deny');

-- Lines go in here, and nothing stays here.
CREATE TABLE ipe_lines (line text);

CREATE FUNCTION ipe_take() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- jsonb has no NUL: it becomes U+FFFD, as KEY_hex has the bytes.
    e jsonb := regexp_replace(NEW.line, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb;
BEGIN
    INSERT INTO ipe_events (host, boot_id, spool, seq, time, event, verdict, data)
    VALUES (e->>'host', e->>'boot_id', e->>'spool', (e->>'seq')::bigint, (e->>'time')::timestamptz,
            e->>'event', e->>'verdict', e)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER ipe_take BEFORE INSERT ON ipe_lines FOR EACH ROW EXECUTE FUNCTION ipe_take();

-- Retention: once a day. Beyond some 100 million events make ipe_events a table that
-- is partitioned by time, with time in the UNIQUE, and drop partitions instead.
--     DELETE FROM ipe_events WHERE received < now() - interval '90 days';
