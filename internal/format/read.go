package format

import (
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// value says what values a key has, and stores one.
type value struct {
	Type Type

	at  any     // func(*fields) *T: where it is in an event; nil where there is no one place
	has ipe.Has // what says that it is there, if anything does

	// read stores a value in JSON, and reports whether it is one that the key can
	// have. The value is valid JSON.
	read func(p *Parser, f *fields, v []byte) bool

	// readHex does so for KEY_hex; nil where there is none.
	readHex func(p *Parser, f *fields, v []byte) bool

	// attribute writes the value of an event as an attribute of OpenTelemetry, if the
	// event has one.
	attribute func(a *attributes, f *fields, name *attributeName)
}

// text is a string of any bytes. A nil one is absent.
func text(at func(*fields) *[]byte) value {
	return value{
		Type:    TypeString,
		at:      at,
		read:    func(p *Parser, f *fields, v []byte) bool { return p.text(at(f), v) },
		readHex: func(p *Parser, f *fields, v []byte) bool { return p.hex(at(f), v) },
		attribute: func(a *attributes, f *fields, name *attributeName) {
			if b := *at(f); b != nil {
				a.text(name, b)
			}
		},
	}
}

// name is a text of which an empty one is absent.
func name(at func(*fields) *[]byte) value { return text(at) }

// raw is the text of the record, which is written where it is asked for.
func raw() value { return text(func(f *fields) *[]byte { return &f.Raw }) }

// fromPolicy says that whoever signed the policy wrote the text: see guard.
func fromPolicy(v value) value { return v }

func list(at func(*fields) *[][]byte) value {
	return value{
		Type:    TypeStrings,
		at:      at,
		read:    func(p *Parser, f *fields, v []byte) bool { return p.list(at(f), v, false) },
		readHex: func(p *Parser, f *fields, v []byte) bool { return p.list(at(f), v, true) },
		attribute: func(a *attributes, f *fields, name *attributeName) {
			if l := *at(f); len(l) > 0 {
				a.list(name, l)
			}
		},
	}
}

// wordOf is a string that is the String of a value.
func wordOf[T word](at func(*fields) *T) value {
	return value{Type: TypeWord, at: at, read: func(p *Parser, f *fields, v []byte) bool {
		s := p.unquote(v)
		for w := T(0); w == 0 || w.String() != ""; w++ {
			if len(s) != 0 && w.String() == string(s) {
				*at(f) = w
				return true
			}
		}
		return false
	}, attribute: func(a *attributes, f *fields, name *attributeName) { a.word(name, (*at(f)).String()) }}
}

// number is an integer that is not negative. has says that it is there, and is set
// with it; 0 is a number of which 0 is absent.
func number[T uint16 | uint32 | uint64](at func(*fields) *T, has ipe.Has) value {
	return value{Type: TypeNumber, at: at, has: has, read: func(_ *Parser, f *fields, v []byte) bool {
		n, ok := parseUint(v)
		*at(f) = T(n)
		f.Has |= has
		return ok && n <= uint64(^T(0))
	}, attribute: func(a *attributes, f *fields, name *attributeName) {
		if n := uint64(*at(f)); has != 0 && f.Has&has != 0 || has == 0 && n != 0 {
			a.number(name, n)
		}
	}}
}

// serial is there with the stamp of a record: the daemon's own events have a time,
// but no serial of the kernel.
func serial() value { return number(func(f *fields) *uint64 { return &f.Serial }, 0) }

func signed(at func(*fields) *int64, has ipe.Has) value {
	return value{Type: TypeNumber, at: at, has: has, read: func(_ *Parser, f *fields, v []byte) bool {
		n, err := strconv.ParseInt(string(v), 10, 64)
		*at(f) = n
		f.Has |= has
		return err == nil
	}, attribute: func(a *attributes, f *fields, name *attributeName) {
		if f.Has&has != 0 {
			a.signed(name, *at(f))
		}
	}}
}

func boolean(at func(*fields) *ipe.Bool) value {
	return value{Type: TypeBoolean, at: at, read: func(_ *Parser, f *fields, v []byte) bool {
		*at(f) = ipe.BoolOf(v[0] == 't')
		return v[0] == 't' || v[0] == 'f'
	}, attribute: func(a *attributes, f *fields, name *attributeName) {
		if b := *at(f); b.Known() {
			a.boolean(name, b == ipe.True)
		}
	}}
}

// instant is a time as clock writes it, or another of RFC 3339.
func instant(at func(*fields) *int64, has ipe.Has) value {
	return value{Type: TypeWord, at: at, has: has, read: func(p *Parser, f *fields, v []byte) bool {
		ms, ok := parseInstant(p.unquote(v))
		*at(f) = ms
		f.Has |= has
		return ok
	}, attribute: func(a *attributes, f *fields, name *attributeName) {
		if f.Has&has != 0 {
			a.instant(name, *at(f))
		}
	}}
}

// spoolID is the id of a spool: hex digits in lower case, at most 16 of them, so
// that what was written with fewer is no other event for that.
func spoolID() value {
	return value{Type: TypeWord, read: func(p *Parser, f *fields, v []byte) bool {
		s := p.unquote(v)
		f.Spool = 0
		for _, c := range s {
			switch {
			case '0' <= c && c <= '9':
				c -= '0'
			case 'a' <= c && c <= 'f':
				c -= 'a' - 10
			default:
				return false
			}
			f.Spool = f.Spool<<4 | uint64(c)
		}
		return 0 < len(s) && len(s) <= 16
	}, attribute: func(a *attributes, f *fields, name *attributeName) {
		if f.Seq != 0 || f.Kind == ipe.KindRepeated {
			a.hex64(name, f.Spool)
		}
	}}
}

// prevSeq is a sequence number, or 0, which is there too.
func prevSeq() value {
	v := number(func(f *fields) *uint64 { return &f.PrevSeq }, 0)
	read := v.read
	v.read = func(p *Parser, f *fields, text []byte) bool {
		f.Partial = true
		return read(p, f, text)
	}
	v.attribute = func(a *attributes, f *fields, name *attributeName) {
		if f.Partial && f.Seq != 0 {
			a.number(name, f.PrevSeq)
		}
	}
	return v
}

// contexts is a list of the words of a set.
func contexts() value {
	return value{
		Type:      TypeWords,
		read:      func(p *Parser, f *fields, v []byte) bool { return p.contexts(&f.Context, v) },
		attribute: func(a *attributes, f *fields, name *attributeName) { a.contexts(name, f.Context) },
	}
}

// errorOf is the name of errno.
func errorOf() value {
	return value{
		Type:      TypeWord,
		read:      func(*Parser, *fields, []byte) bool { return true },
		attribute: func(a *attributes, f *fields, name *attributeName) { a.word(name, errorName(f.Event)) },
	}
}

// extra is an object of the keys that nobody knows.
func extra() value {
	return value{
		Type:      TypeObject,
		read:      func(p *Parser, f *fields, v []byte) bool { return p.extra(&f.Extra, v) },
		attribute: func(a *attributes, f *fields, name *attributeName) { a.extra(name, f.Extra) },
	}
}

func parseUint(s []byte) (n uint64, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' || n > (1<<64-1)/10 {
			return 0, false
		}
		d := uint64(c - '0')
		if n = n * 10; n+d < n {
			return 0, false
		}
		n += d
	}
	return n, len(s) > 0
}

// parseInstant reads a time as clock writes it, also outside the years of RFC
// 3339, or any other of RFC 3339, in milliseconds since 1970. It does not
// allocate for those that clock wrote.
func parseInstant(s []byte) (ms int64, ok bool) {
	const tail = "-01-02T15:04:05.000Z"
	if n := len(s) - len(tail); n >= len("2006") {
		year, ok := parseYear(s[:n])
		if t := s[n:]; ok && t[0] == '-' && t[3] == '-' && t[6] == 'T' && t[9] == ':' && t[12] == ':' && t[15] == '.' && t[19] == 'Z' {
			month, day, hour, minute, second := twoDigits(t[1:]), twoDigits(t[4:]), twoDigits(t[7:]), twoDigits(t[10:]), twoDigits(t[13:])
			milli, ok := parseUint(t[16:19])
			at := time.Date(year, time.Month(month), day, hour, minute, second, int(milli)*1e6, time.UTC)
			ms = at.UnixMilli()
			if ok && at.Month() == time.Month(month) && at.Day() == day && at.Hour() == hour &&
				at.Minute() == minute && at.Second() == second && time.UnixMilli(ms).Equal(at) {
				return ms, true
			}
			return 0, false
		}
	}
	t, err := time.Parse(time.RFC3339, string(s))
	return t.UnixMilli(), err == nil
}

// parseYear reads a year of at least four digits. It has a sign if it is before 0
// or beyond 9999.
func parseYear(s []byte) (year int, ok bool) {
	sign := 1
	switch s[0] {
	case '-':
		sign, s = -1, s[1:]
	case '+':
		s = s[1:]
	}
	n, ok := parseUint(s)
	return sign * int(n), ok && n < 1e9
}

// twoDigits returns the number at the front of s, -1 if there is none.
func twoDigits(s []byte) int {
	n, ok := parseUint(s[:2])
	if !ok {
		return -1
	}
	return int(n)
}
