package auditrec

import "strconv"

// AppendStamp appends the stamp of a record and what follows it, as in
// audit_log_start, kernel/audit.c: "audit(1795440956.605:590): ". The time is in
// milliseconds since 1970.
func AppendStamp(dst []byte, ms, serial uint64) []byte {
	dst = append(dst, "audit("...)
	dst = strconv.AppendUint(dst, ms/1000, 10)
	dst = append(dst, '.', '0'+byte(ms/100%10), '0'+byte(ms/10%10), '0'+byte(ms%10), ':')
	dst = strconv.AppendUint(dst, serial, 10)
	return append(dst, "): "...)
}
