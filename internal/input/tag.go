package input

import "bytes"

// cutTag returns what follows the tag of a line of the kernel log, of the short
// forms of journalctl, and of what auditd hands to syslog:
//
//	[   12.345678] audit: type=1420 ...                    dmesg, also -T, -d, -e, -r, -x
//	2026-11-23T13:31:41,244000+00:00 audit: type=1420 ...  dmesg --time-format=iso
//	5,165,324717,-;audit: type=1420 ...                    /dev/kmsg
//	Nov 23 13:31:41 vm kernel: [   12.345678] audit: type=1420 ...
//	Nov 23 13:31:41 vm audit[570]: AUDIT1420 ...           journalctl
//	Nov 23 13:31:41 vm kern.notice kernel: audit: type=1420 ...      busybox syslogd
//	<5>1 2026-11-23T13:31:41Z vm kernel - - - audit: type=1420 ...   RFC 5424
//	audit: type=1420 ...
//	Nov 23 13:31:41 vm audisp-syslog[700]: node=vm type=UNKNOWN[1420] ...
//	<14>1 2026-11-23T13:31:41Z vm audispd 700 - - type=UNKNOWN[1420] ...
//
// kernel says that it is the kernel's or journald's, and not auditd's. r.host
// becomes the host before the tag. The result may view r.built.
func (r *Reader) cutTag(p []byte) (rest []byte, kernel, ok bool) {
	p, facility, ok := cutPriority(p)
	if !ok {
		return nil, false, false
	}
	if facility == facilityKmsg {
		r.built, r.unescaped = appendUnescaped(r.built[:0], p), true
		rest, ok = bytes.CutPrefix(r.built, []byte("audit: "))
		return rest, true, ok
	}
	p, rfc5424 := bytes.CutPrefix(p, []byte("1 "))
	p, timed := cutTime(p)
	if rfc5424 && !timed {
		p, timed = bytes.CutPrefix(p, []byte("- ")) // NILVALUE
	}
	mayBeKernel := facility != facilityOther
	if !rfc5424 {
		if rest, ok := cutKernelTag(p); ok || !timed {
			return rest, true, ok && mayBeKernel
		}
		if rest, ok := cutAuditdTag(p); ok {
			return rest, false, true
		}
	}
	host, rest, ok := bytes.Cut(p, []byte(" "))
	if !ok || !isHost(host) {
		return nil, false, false
	}
	r.host = host
	if rfc5424 {
		if string(host) == "-" {
			r.host = nil
		}
		name, message, ok := cutHeader(rest)
		switch {
		case !ok:
			return nil, false, false
		case string(name) == "kernel":
			rest, ok = cutKernelMessage(bytes.TrimPrefix(message, []byte(" ")))
			return rest, true, ok && mayBeKernel
		}
		return message, false, isAuditd(name)
	}
	rest, fromKernel := cutFacility(rest)
	if message, ok := cutAuditdTag(rest); ok {
		return message, false, true
	}
	rest, ok = cutKernelTag(rest)
	return rest, true, ok && mayBeKernel && fromKernel
}

// cutFacility cuts the word facility.level that busybox puts before a tag. kernel
// says that it does not speak against the kernel.
func cutFacility(p []byte) (rest []byte, kernel bool) {
	word, rest, ok := bytes.Cut(p, []byte(" "))
	facility, level, dotted := bytes.Cut(word, []byte("."))
	if !ok || !dotted || len(facility) == 0 || !isLower(facility) || !isLower(level) {
		return p, true
	}
	return rest, string(facility) == "kern"
}

func isLower(p []byte) bool {
	for _, c := range p {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isAuditd reports whether name is that of auditd's program that hands records to
// syslog: audispd before auditd 3, audisp-syslog since.
func isAuditd(name []byte) bool {
	return string(name) == "audisp-syslog" || string(name) == "audispd"
}

// cutAuditdTag cuts the tag of such a program, with or without its pid.
func cutAuditdTag(p []byte) ([]byte, bool) {
	if !bytes.HasPrefix(p, []byte("audisp")) {
		return nil, false
	}
	tag, rest, ok := bytes.Cut(p, []byte(": "))
	name, pid, hasPID := bytes.Cut(tag, []byte("["))
	if !ok || !isAuditd(name) || hasPID && (digits(pid) == 0 || string(pid[digits(pid):]) != "]") {
		return nil, false
	}
	return rest, true
}

// cutHeader cuts the name, the process, the message's type and the structured data
// of a message of RFC 5424 (section 6), and the byte order mark that may follow.
func cutHeader(p []byte) (name, message []byte, ok bool) {
	name, p, ok = bytes.Cut(p, []byte(" "))
	for range 2 {
		if ok {
			_, p, ok = bytes.Cut(p, []byte(" "))
		}
	}
	if !ok {
		return nil, nil, false
	}
	if p, ok = cutStructured(p); !ok {
		return nil, nil, false
	}
	return name, bytes.TrimPrefix(p, []byte(byteOrderMark)), true
}

// cutStructured cuts structured data and the blank behind it.
func cutStructured(p []byte) ([]byte, bool) {
	if rest, ok := bytes.CutPrefix(p, []byte("- ")); ok {
		return rest, true
	}
	quoted := false
	for i, c := range p {
		switch {
		case i == 0 && c != '[':
			return nil, false
		case c == '"' && (i == 0 || p[i-1] != '\\'):
			quoted = !quoted
		case c == ']' && !quoted && i+1 < len(p) && p[i+1] == ' ':
			return p[i+2:], true
		}
	}
	return nil, false
}

// isHost reports whether p can be the name of a host, and not somebody's tag,
// which ends in a colon, or the beginning of a message.
func isHost(p []byte) bool {
	for _, c := range p {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '.', c == '-', c == '_', c == ':', c == '%', c == '@', c == '/':
		default:
			return false
		}
	}
	return len(p) > 0 && p[len(p)-1] != ':'
}

// cutKernelTag cuts the tags under which the kernel's and journald's audit
// lines appear: "audit: ", "audit[570]: " and "kernel: audit: ".
func cutKernelTag(p []byte) ([]byte, bool) {
	if rest, ok := bytes.CutPrefix(p, []byte("kernel: ")); ok {
		return cutKernelMessage(rest)
	}
	p, ok := bytes.CutPrefix(p, []byte("audit"))
	if !ok {
		return nil, false
	}
	if rest, ok := bytes.CutPrefix(p, []byte("[")); ok {
		n := digits(rest)
		if n == 0 {
			return nil, false
		}
		p, ok = bytes.CutPrefix(rest[n:], []byte("]"))
		if !ok {
			return nil, false
		}
	}
	return bytes.CutPrefix(p, []byte(": "))
}

// cutKernelMessage cuts what is before a record in a message of the kernel: its
// time, which some syslog daemons keep, and "audit: ".
func cutKernelMessage(p []byte) ([]byte, bool) {
	p, _ = cutBrackets(p)
	return bytes.CutPrefix(p, []byte("audit: "))
}

// facility is what a line of the kernel log says of its facility.
type facility uint8

const (
	facilityKernel facility = iota // or nothing is said
	facilityOther                  // a process wrote it (kernel/printk/printk.c, devkmsg_write)
	facilityKmsg                   // the kernel's, in the form of /dev/kmsg, whose text is escaped
)

// cutPriority cuts the facility and level before a line: "<5>" of dmesg -r and of
// syslog, "kern  :notice: " of dmesg -x, and "5,165,324717,-;" of /dev/kmsg. The
// latter two it refuses for other facilities than the kernel's.
func cutPriority(p []byte) (rest []byte, f facility, ok bool) {
	if rest, ok := bytes.CutPrefix(p, []byte("<")); ok {
		prio, rest, ok := bytes.Cut(rest, []byte(">"))
		if len(prio) != 1 || prio[0] > '7' {
			f = facilityOther
		}
		return rest, f, ok && len(prio) > 0 && len(prio) <= 3 && digits(prio) == len(prio)
	}
	if len(p) > 1 && p[0] >= '0' && p[0] <= '7' && p[1] == ',' {
		head, rest, ok := bytes.Cut(p, []byte(";"))
		return rest, facilityKmsg, ok && bytes.Count(head, []byte(",")) >= 3
	}
	if level, ok := bytes.CutPrefix(p, []byte("kern  :")); ok {
		_, rest, ok := bytes.Cut(level, []byte(": "))
		return rest, facilityKernel, ok
	}
	return p, facilityKernel, true
}

// cutTime cuts the time before a line. It reports whether there was one.
func cutTime(p []byte) ([]byte, bool) {
	if rest, ok := cutBrackets(p); ok {
		return rest, true
	}
	for _, form := range [...]string{
		"aaa __ 00:00:00",         // Nov 23 13:31:41
		"0000-00-00T00:00:00",     // 2026-11-23T13:31:41+00:00
		"0000-00-00 00:00:00",     // 2026-11-23 13:31:41
		"aaa __ 0000 00:00:00",    // Nov 23 2026 13:31:41
		"aaa 0000-00-00 00:00:00", // Mon 2026-11-23 13:31:41 UTC
		"0000000000.",             // 1795440701.244000
	} {
		if !hasForm(p, form) {
			continue
		}
		// The fraction and zone, if any, end the word; short-full has the zone
		// as a word of its own.
		_, rest, ok := bytes.Cut(p[len(form):], []byte(" "))
		if ok && form == "aaa 0000-00-00 00:00:00" {
			_, rest, ok = bytes.Cut(rest, []byte(" "))
		}
		return rest, ok
	}
	return p, false
}

// hasForm reports whether p begins with a text of the form: 0 stands for a
// digit, a for a letter, _ for a digit or blank, anything else for itself.
func hasForm(p []byte, form string) bool {
	if len(p) < len(form) {
		return false
	}
	for i, f := range []byte(form) {
		c := p[i]
		digit := c >= '0' && c <= '9'
		switch {
		case f == '0' && digit, f == '_' && (digit || c == ' '):
		case f == 'a' && (c|0x20 >= 'a' && c|0x20 <= 'z'):
		case f == c && f != '0' && f != 'a' && f != '_':
		default:
			return false
		}
	}
	return true
}

// cutBrackets cuts "[   12.345678] " and what else dmesg puts between brackets
// (a date, the distance to the line before), and the caller behind it,
// "[  T123] " (CONFIG_PRINTK_CALLER).
func cutBrackets(p []byte) ([]byte, bool) {
	_, rest, ok := cutBracket(p)
	if !ok {
		return p, false
	}
	if caller, next, ok := cutBracket(rest); ok {
		caller = bytes.TrimLeft(caller, " ")
		if len(caller) > 1 && (caller[0] == 'T' || caller[0] == 'C') && digits(caller[1:]) == len(caller)-1 {
			rest = next
		}
	}
	return rest, true
}

// cutBracket cuts "[...]" and the blank behind it, of characters that times,
// dates and callers are made of.
func cutBracket(p []byte) (inner, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '[' {
		return nil, nil, false
	}
	inner, rest, ok = bytes.Cut(p[1:], []byte("]"))
	if !ok || len(inner) > 64 {
		return nil, nil, false
	}
	for _, c := range inner {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == ' ', c == '.', c == ':', c == '+', c == '-', c == '<', c == '>':
		default:
			return nil, nil, false
		}
	}
	return inner, bytes.TrimPrefix(rest, []byte(" ")), true
}

// digits returns how many decimal digits p begins with.
func digits(p []byte) int {
	for i, c := range p {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(p)
}

// appendUnescaped appends p without the escapes of /dev/kmsg: every byte that
// is not printable ASCII, and the backslash, are \x and two digits
// (kernel/printk/printk.c, msg_add_ext_text).
func appendUnescaped(dst, p []byte) []byte {
	for len(p) > 0 {
		if len(p) >= 4 && p[0] == '\\' && p[1] == 'x' {
			hi, lo := unhex(p[2]), unhex(p[3])
			if hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				p = p[4:]
				continue
			}
		}
		dst = append(dst, p[0])
		p = p[1:]
	}
	return dst
}

// unhex returns the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
