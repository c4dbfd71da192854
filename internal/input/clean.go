package input

import "bytes"

const escape = 0x1b

// cutColours removes in place the sequences with which dmesg, journalctl and grep
// colour lines and make links of them: ESC [ ... letter, and ESC ] ... BEL or
// ESC \ (ECMA-48, sections 5.4 and 5.6).
func cutColours(p []byte) []byte {
	out := p[:0]
	for len(p) > 0 {
		if n := sequenceLen(p); n > 0 {
			p = p[n:]
			continue
		}
		out = append(out, p[0])
		p = p[1:]
	}
	return out
}

// sequenceLen returns the length of the control sequence at the front of p, 0 if
// there is none.
func sequenceLen(p []byte) int {
	if len(p) < 2 || p[0] != escape {
		return 0
	}
	switch p[1] {
	case '[':
		for i, c := range p[2:] {
			if c >= 0x40 && c <= 0x7e {
				return i + 3
			}
			if c < 0x20 || c > 0x3f {
				return 0
			}
		}
	case ']':
		for i := 2; i < len(p); i++ {
			switch {
			case p[i] == 7:
				return i + 1
			case p[i] == escape && i+1 < len(p) && p[i+1] == '\\':
				return i + 2
			case p[i] == escape:
				return 0
			}
		}
	}
	return 0
}

// separators are what syslog daemons make of the group separator (0x1d) before the
// interpreted fields of auditd: rsyslog in octal, and others.
var separators = [...]string{"#035", `\035`, `\x1d`, `\x1D`, "^]", "<1d>", "<1D>"}

// cutTail cuts off what follows a record where its separator was replaced: by a
// blank, as audisp-syslog does (audit-userspace,
// audisp/plugins/syslog/audisp-syslog.c, write_syslog), or by an escape, and what
// became of the control characters at the end of a line. The keys of the
// interpreted fields are in upper case; none of the kernel's in records of IPE are.
func cutTail(text []byte) []byte {
	for {
		end := len(text)
		for end > 0 && text[end-1] == ' ' {
			end--
		}
		// The last word, and whether there may be an escape in it.
		i, escaped := end, false
		for i > 0 && text[i-1] != ' ' {
			i--
			switch text[i] {
			case '#', '\\', '^', '<':
				escaped = true
			}
		}
		word := text[i:end]
		switch {
		case i > 0 && isInterpreted(word):
			text = text[:i-1]
			continue
		case !escaped:
			return text
		}
		for _, s := range separators {
			if j := bytes.Index(word, []byte(s)); j > 0 {
				if rest := word[j+len(s):]; len(rest) == 0 || isInterpreted(rest) {
					return cutControls(text[:i+j])
				}
			}
		}
		if n := len(cutControls(text[:end])); n < end {
			return text[:n]
		}
		return text
	}
}

// trimColours cuts control sequences off the end of p.
func trimColours(p []byte) []byte {
	for {
		i := bytes.LastIndexByte(p, escape)
		if i < 0 || i+sequenceLen(p[i:]) != len(p) {
			return p
		}
		p = bytes.TrimRight(p[:i], " ")
	}
}

// isInterpreted reports whether p is a field with a key in upper case.
func isInterpreted(p []byte) bool {
	for i, c := range p {
		switch {
		case c == '=':
			return i > 1
		case (c < 'A' || c > 'Z') && c != '_':
			return false
		}
	}
	return false
}

// cutControls cuts the control characters off the end of p that rsyslog has made
// visible, as #012 for LF.
func cutControls(p []byte) []byte {
	for len(p) > 4 {
		if _, ok := octal(p[len(p)-4:]); !ok {
			break
		}
		p = p[:len(p)-4]
	}
	return p
}

// octal returns the control character that p begins with, as rsyslog writes it:
// # and three octal digits.
func octal(p []byte) (c byte, ok bool) {
	if len(p) < 4 || p[0] != '#' || p[1] > '1' {
		return 0, false
	}
	for _, d := range p[1:4] {
		if d < '0' || d > '7' {
			return 0, false
		}
		c = c<<3 | (d - '0')
	}
	return c, c < ' ' || c == 0x7f
}

// unescapeControls undoes in place what octal reads, in a record with names of
// policies: these cannot have a #, which begins a comment in a policy, but
// control characters.
func unescapeControls(p []byte) []byte {
	if bytes.IndexByte(p, '#') < 0 {
		return p
	}
	out := p[:0]
	for len(p) > 0 {
		if c, ok := octal(p); ok {
			out = append(out, c)
			p = p[4:]
			continue
		}
		out = append(out, p[0])
		p = p[1:]
	}
	return out
}
