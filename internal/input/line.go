package input

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxIndent is how far a line may be indented, or quoted as in mails. journalctl
// indents the rest of a message of several lines under its beginning, which is
// at column 18 at least ("[    4.006000] t: "), and dmesg at column 15: whatever
// is written there is not the kernel's.
const maxIndent = 12

// textLine fills rec if line is a record in one of the text forms. It sets
// r.other if it is a record of another type.
func (r *Reader) textLine(line []byte, rec *Record) bool {
	if r.wrapped(line, rec) {
		r.finish(rec)
		return true
	}
	if r.other || bytes.IndexByte(line, escape) < 0 {
		return false
	}
	if r.wrapped(cutColours(line), rec) {
		r.finish(rec)
		return true
	}
	return false
}

// wrapped is textLine for a line without colours.
func (r *Reader) wrapped(line []byte, rec *Record) bool {
	r.host, r.other, r.unescaped = nil, false, false
	text := line
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '>') {
		text = text[1:]
	}
	if len(line)-len(text) > maxIndent {
		return false
	}
	if r.nodeLine(text, rec) || r.other {
		return !r.other
	}
	rest, kernel, ok := r.cutTag(text)
	if !ok {
		return false
	}
	if !kernel {
		return r.nodeLine(rest, rec)
	}
	if !r.record(rest, rec) {
		return false
	}
	rec.Truncated = isCut(rest, rec)
	return true
}

// nodeLine fills rec if p is a record, which may have the name of its host before
// it. The name may be anything, also with blanks.
func (r *Reader) nodeLine(p []byte, rec *Record) bool {
	node, ok := bytes.CutPrefix(p, []byte("node="))
	if !ok {
		return r.record(p, rec)
	}
	for i := 0; ; i++ {
		n := bytes.Index(node[i:], []byte(" type="))
		if n < 0 {
			return false
		}
		if i += n; r.record(node[i+1:], rec) || r.other {
			if i > 0 {
				r.host = node[:i]
			}
			return !r.other
		}
	}
}

// record fills rec if p is a record, and sets r.other if it is one of another
// type.
func (r *Reader) record(p []byte, rec *Record) bool {
	if recordLine(p, rec) {
		return true
	}
	if r.other = otherRecord(p); !r.other {
		return false
	}
	// Only messages of user space, between quotes, can quote another record.
	if i := joint(p, false); i > 0 && !r.again && !bytes.Contains(p, []byte("msg='")) {
		r.text, r.again = p[i:], true
	}
	return false
}

// maxPrintk is the length of the longest message in the kernel log, which cuts
// what is longer (kernel/printk/printk.c, PRINTKRB_RECORD_MAX, with or without
// the NUL that vsnprintf counts).
const maxPrintk = 1024

// isCut reports whether the kernel log has cut the record in p, which stands
// behind "audit: ": it is as long as can be, and an access without its end.
func isCut(p []byte, rec *Record) bool {
	n := len("audit: ") + len(p)
	return rec.Type == ipe.TypeAccess && (n == maxPrintk || n == maxPrintk-1) && p[len(p)-1] != '"'
}

// finish cuts off what tools have put to a record, and hands back what else is in
// the line.
func (r *Reader) finish(rec *Record) {
	rec.Host = r.host
	if r.unescaped {
		return // no tool has touched it
	}
	policy := isPolicyRecord(rec.Type)
	if bytes.IndexByte(rec.Text, escape) >= 0 {
		if policy {
			rec.Text = trimColours(rec.Text)
		} else {
			rec.Text = cutColours(rec.Text)
		}
	}
	if i := joint(rec.Text, rec.Type == ipe.TypeAccess); i > 0 && !r.again {
		r.text, r.again = rec.Text[i:], true
		rec.Text = rec.Text[:i]
	}
	rec.Text = cutTail(rec.Text)
	if policy {
		rec.Text = unescapeControls(rec.Text)
	}
}

// isPolicyRecord reports whether a record of this type can have the name of a
// policy, which the kernel prints as it is, control characters and all.
func isPolicyRecord(typ uint16) bool {
	switch typ {
	case ipe.TypeAccess, ipe.TypeMACStatus, ipe.TypeLandlockAccess:
		return false
	}
	return ipe.Carries(typ)
}

// joint returns where in the text of a record another line begins, which has lost
// its LF, as where two files were put together; 0 if there is none. The kernel
// puts no blank into a value but a rule, with which an access ends, and no stamp
// into a rule.
func joint(text []byte, access bool) int {
	const stamp = "audit("
	for from := len(stamp); from < len(text); {
		i := bytes.IndexByte(text[from:], '(') // which is rare
		if i < 0 {
			return 0
		}
		i += from - len(stamp) + 1
		if from = i + len(stamp); i < 0 || string(text[i:from]) != stamp {
			continue
		}
		n := stampLen(text[i:])
		if n == 0 || !bytes.HasPrefix(text[i+n:], []byte(": ")) {
			continue
		}
		// The line begins behind the rule, or with its type.
		head := bytes.LastIndex(text[:i], []byte("type="))
		if head <= 0 {
			continue
		}
		if node := bytes.LastIndex(text[:head], []byte("node=")); node > 0 {
			head = node
		}
		if quote := bytes.LastIndexByte(text[:head], '"'); access && quote >= 0 {
			return quote + 1
		}
		return head
	}
	return 0
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
		if !ipe.Carries(typ) && !bytes.HasPrefix(text, []byte("audit(")) {
			return false // no record of anything
		}
	}
	rec.Type, rec.Text = typ, auditrec.CutInterpretation(text)
	return true
}

// typeByName returns the record type that name stands for: AUDIT1420, as
// journald calls what it does not know (src/basic/audit-util.h, AUDIT%04i),
// UNKNOWN[1420], as auditd does (lib/audit_logging.c), or the name of a type
// that can be IPE's, has the number of one or may belong to one. Other names are not known here.
func typeByName(name []byte) (uint16, bool) {
	if n, ok := bytes.CutPrefix(name, []byte("UNKNOWN[")); ok {
		n, ok = bytes.CutSuffix(n, []byte("]"))
		typ, valid := parseType(n)
		return typ, ok && valid
	}
	if n, ok := bytes.CutPrefix(name, []byte("AUDIT")); ok && len(n) >= 4 && n[0] != '_' {
		return parseType(n)
	}
	return auditrec.TypeByName(bytes.TrimPrefix(name, []byte("AUDIT_")))
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
