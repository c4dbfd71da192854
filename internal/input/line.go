package input

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// maxIndent is how far a line may be indented, or quoted as in mails. journalctl
// indents the rest of a message of several lines under its beginning, which is
// at column 18 at least ("[    4.006000] t: "), and dmesg at column 15: whatever
// is written there is not the kernel's.
const maxIndent = 12

// textLine fills rec if line is a record in one of the text forms.
func (r *Reader) textLine(line []byte, rec *Record) bool {
	text := bytes.TrimLeft(line, " \t>")
	if len(line)-len(text) > maxIndent {
		return false
	}
	if rest, ok := bytes.CutPrefix(text, []byte("node=")); ok {
		if _, text, ok = bytes.Cut(rest, []byte(" ")); !ok {
			return false
		}
	}
	if recordLine(text, rec) {
		return true
	}
	rest, ok := r.cutTag(text)
	return ok && recordLine(rest, rec)
}

// recordLine fills rec if p is a record with its type before it:
//
//	type=1420 audit(1795440701.244:47): ipe_op=...             kernel/audit.c, kauditd_printk_skb
//	type=UNKNOWN[1420] msg=audit(1795440701.244:47): ipe_op=... auditd
//	AUDIT1420 ipe_op=...                                       journald
func recordLine(p []byte, rec *Record) bool {
	p, tagged := bytes.CutPrefix(p, []byte("type="))
	name, text, ok := bytes.Cut(p, []byte(" "))
	if !ok {
		return false
	}
	typ, ok := typeByName(name)
	if !ok && tagged {
		typ, ok = parseType(name)
	}
	if !ok {
		return false
	}
	if tagged {
		text = bytes.TrimLeft(text, " ")
		text, _ = bytes.CutPrefix(text, []byte("msg="))
	}
	rec.Type, rec.Text = typ, auditrec.CutInterpretation(text)
	return true
}

// typeByName returns the record type that name stands for: AUDIT1420, as
// journald calls what it does not know (src/basic/audit-util.h, AUDIT%04i),
// UNKNOWN[1420], as auditd does (lib/audit_logging.c), or the name of a type
// that can be IPE's or has the number of one. Other names are not known here.
func typeByName(name []byte) (uint16, bool) {
	if n, ok := bytes.CutPrefix(name, []byte("UNKNOWN[")); ok {
		n, ok = bytes.CutSuffix(n, []byte("]"))
		typ, valid := parseType(n)
		return typ, ok && valid
	}
	if n, ok := bytes.CutPrefix(name, []byte("AUDIT")); ok && len(n) >= 4 && n[0] != '_' {
		return parseType(n)
	}
	name = bytes.TrimPrefix(name, []byte("AUDIT_"))
	var typ uint16
	switch string(name) {
	// include/uapi/linux/audit.h
	case "MAC_POLICY_LOAD": // of RFC v8 and v9
		typ = 1403
	case "MAC_STATUS":
		typ = 1404
	case "MAC_CONFIG_CHANGE": // of RFC v8 and v9
		typ = 1405
	case "IPE_ACCESS":
		typ = 1420
	case "IPE_CONFIG_CHANGE":
		typ = 1421
	case "IPE_POLICY_LOAD":
		typ = 1422
	case "LANDLOCK_ACCESS":
		typ = 1423
	case "LANDLOCK_DOMAIN":
		typ = 1424
	// RFC v7
	case "TRUST_RESULT":
		typ = 1420
	case "TRUST_POLICY_LOAD":
		typ = 1421
	case "TRUST_POLICY_ACTIVATE":
		typ = 1422
	case "TRUST_STATUS":
		typ = 1423
	// before and in RFC v1 to v6
	case "INTEGRITY_STATUS":
		typ = 1802
	case "INTEGRITY_POLICY_RULE":
		typ = 1807
	case "INTEGRITY_POLICY_LOAD":
		typ = 1808
	case "INTEGRITY_POLICY_ACTIVATE":
		typ = 1809
	case "INTEGRITY_EVENT":
		typ = 1810
	case "INTEGRITY_MODE":
		typ = 1811
	}
	return typ, typ != 0
}

// parseType returns the record type that the decimal digits p stand for.
func parseType(p []byte) (uint16, bool) {
	n := 0
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > 0xffff {
			return 0, false
		}
	}
	return uint16(n), n != 0
}
