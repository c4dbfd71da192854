-- Takes lines of JSON from standard input. CSV with a delimiter and a quote that no
-- line of ipe-auditd has: in the default form a backslash would be an escape.
\copy ipe_lines FROM pstdin WITH (FORMAT csv, DELIMITER E'\x02', QUOTE E'\x01')
