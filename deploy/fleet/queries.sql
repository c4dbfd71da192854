-- Questions about many hosts, for the table of postgresql.sql. Each stands alone;
-- :since is a time, as in psql -v since="'2026-12-01'".

-- new_denials: kinds of accesses that were denied since then and never before, and on
-- how many hosts.
SELECT data->>'ipe_op' AS op, data->>'ipe_hook' AS hook, data->>'path' AS path, data->>'rule' AS rule,
       count(DISTINCT host) AS hosts, count(*) AS events, min(time) AS first
FROM ipe_events
WHERE verdict = 'denied'
GROUP BY 1, 2, 3, 4
HAVING min(time) >= :since
ORDER BY hosts DESC, events DESC, path;

-- policies: which policy is in force, on how many hosts, by what each said last.
SELECT data->>'policy_name' AS policy, data->>'policy_version' AS version, count(*) AS hosts
FROM (SELECT DISTINCT ON (host) host, data FROM ipe_events
      WHERE event IN ('started', 'heartbeat', 'policy_activate') AND data ? 'policy_name'
      ORDER BY host, time DESC) AS newest
GROUP BY 1, 2
ORDER BY hosts DESC, policy, version;

-- permissive: hosts that do not enforce, by what each said last.
SELECT host, time AS since
FROM (SELECT DISTINCT ON (host) host, time, data FROM ipe_events
      WHERE event IN ('started', 'heartbeat', 'enforcement') AND data ? 'enforcing'
      ORDER BY host, time DESC) AS newest
WHERE data->>'enforcing' = 'false'
ORDER BY host;

-- silent: hosts of which nothing has come since then. With heartbeats of 5m, 15
-- minutes ago is soon enough. By the time of receipt: a clock may be wrong.
SELECT host, max(received) AS last
FROM ipe_events
GROUP BY host
HAVING max(received) < :since
ORDER BY last, host;

-- would_deny: what enforcement would deny, and on how many hosts. It may be switched on
-- where this is empty, nothing is lost and the host was heard all the time: that is
-- what ipe-auditd readiness weighs.
SELECT data->>'ipe_op' AS op, data->>'ipe_hook' AS hook, data->>'path' AS path, data->>'rule' AS rule,
       count(DISTINCT host) AS hosts, count(*) AS events
FROM ipe_events
WHERE verdict = 'would_deny' AND time >= :since
GROUP BY 1, 2, 3, 4
ORDER BY hosts DESC, events DESC, path;

-- losses: how many records each host says it has lost, at least; those without a number
-- count as 0. A count of 0 alone tells of no loss (stage memory).
SELECT host, sum(coalesce((data->>'count')::numeric, 0)) AS lost, count(*) AS times
FROM ipe_events
WHERE event = 'lost' AND time >= :since AND data->>'count' IS DISTINCT FROM '0'
GROUP BY host
ORDER BY lost DESC, host;

-- holes: events that are missing between those that came, of streams that take
-- everything (no match, no coalesce).
SELECT host, spool, max(seq) - min(seq) + 1 - count(*) AS missing
FROM ipe_events
WHERE seq IS NOT NULL
GROUP BY host, spool
HAVING max(seq) - min(seq) + 1 > count(*)
ORDER BY missing DESC, host;
