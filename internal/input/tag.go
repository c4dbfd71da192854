package input

import "bytes"

// cutTag returns what follows the tag of a line of the kernel log or of the
// short forms of journalctl:
//
//	[   12.345678] audit: type=1420 ...                    dmesg, also -T, -d, -e, -r, -x
//	2026-11-23T13:31:41,244000+00:00 audit: type=1420 ...  dmesg --time-format=iso
//	5,165,324717,-;audit: type=1420 ...                    /dev/kmsg
//	Nov 23 13:31:41 vm kernel: [   12.345678] audit: type=1420 ...
//	Nov 23 13:31:41 vm audit[570]: AUDIT1420 ...           journalctl
//	Nov 23 13:31:41 vm kern.notice kernel: audit: type=1420 ...      busybox syslogd
//	<5>1 2026-11-23T13:31:41Z vm kernel - - - audit: type=1420 ...   RFC 5424
//	audit: type=1420 ...
//
// The result may view r.built.
func (r *Reader) cutTag(p []byte) ([]byte, bool) {
	p, kmsg, ok := cutPriority(p)
	if !ok {
		return nil, false
	}
	if kmsg {
		r.built = appendUnescaped(r.built[:0], p)
		return bytes.CutPrefix(r.built, []byte("audit: "))
	}
	p, rfc5424 := bytes.CutPrefix(p, []byte("1 "))
	p, timed := cutTime(p)
	if rest, ok := cutKernelTag(p); ok || !timed {
		return rest, ok
	}
	host, rest, ok := bytes.Cut(p, []byte(" "))
	if !ok || !isHost(host) {
		return nil, false
	}
	if rfc5424 {
		if rest, ok = bytes.CutPrefix(rest, []byte("kernel - - - ")); !ok {
			return nil, false
		}
		return cutKernelMessage(bytes.TrimPrefix(rest, []byte(" ")))
	}
	return cutKernelTag(bytes.TrimPrefix(rest, []byte("kern.notice ")))
}

// isHost reports whether p can be the name of a host, and not somebody's tag,
// which ends in a colon, or the beginning of a message.
func isHost(p []byte) bool {
	for _, c := range p {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c == '.', c == '-', c == '_', c == ':':
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

// cutPriority cuts the facility and level before a line of the kernel log: "<5>"
// of dmesg -r, "kern  :notice: " of dmesg -x, and "5,165,324717,-;" of
// /dev/kmsg, whose text is escaped. It refuses lines of other facilities than
// the kernel's, 0: a process wrote those (kernel/printk/printk.c,
// devkmsg_write).
func cutPriority(p []byte) (rest []byte, kmsg, ok bool) {
	if rest, ok := bytes.CutPrefix(p, []byte("<")); ok {
		prio, rest, ok := bytes.Cut(rest, []byte(">"))
		return rest, false, ok && len(prio) == 1 && prio[0] >= '0' && prio[0] <= '7'
	}
	if len(p) > 1 && p[0] >= '0' && p[0] <= '7' && p[1] == ',' {
		head, rest, ok := bytes.Cut(p, []byte(";"))
		return rest, true, ok && bytes.Count(head, []byte(",")) >= 3
	}
	if level, ok := bytes.CutPrefix(p, []byte("kern  :")); ok {
		_, rest, ok := bytes.Cut(level, []byte(": "))
		return rest, false, ok
	}
	return p, false, true
}

// cutTime cuts the time before a line. It reports whether there was one.
func cutTime(p []byte) ([]byte, bool) {
	if rest, ok := cutBrackets(p); ok {
		return rest, true
	}
	for _, form := range [...]string{
		"aaa __ 00:00:00",         // Nov 23 13:31:41
		"0000-00-00T00:00:00",     // 2026-11-23T13:31:41+00:00
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
