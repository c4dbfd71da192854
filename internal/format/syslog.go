package format

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// ErrSyslog says that a [Syslog] cannot be used.
var ErrSyslog = errors.New("invalid syslog parameter")

// Syslog is what syslog messages say beside the event.
type Syslog struct {
	// Facility is the numerical code of the facility, 0 (kern) to 23 (local7):
	// RFC 5424 section 6.2.1.
	Facility int

	// SDID is the name of the structured data element, NAME@NUMBER with the
	// private enterprise number of whoever defines it: RFC 5424 section 7.2.2.
	// Only RFC5424 needs it.
	SDID string

	// PID is the process id of the daemon; 0 to leave it out.
	PID int
}

// RFC5424 returns a Func that appends an event as one message of RFC 5424,
// without a frame around it and without a newline at its end. It is not a line
// format, but holds no newline either. The error wraps [ErrSyslog].
//
// APP-NAME is ipe-auditd, MSGID the value of the key "event", MSG the text form
// without time. There is one element of structured data with all keys. What is
// neither UTF-8 nor visible in a value becomes U+FFFD, and KEY_hex behind it
// has the bytes: some receivers write the message to a file as it is, and a
// path must not be able to begin a line there. The same is done to what could be
// taken for the beginning of a message by a receiver that cuts this one: see guard.
// A list is joined by blanks, and extra keys are joined as key=value.
//
// MSG has no byte order mark: it is MSG-ANY of section 6.4, since most
// receivers keep the mark as part of the text.
func (s Syslog) RFC5424() (Func, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if !validSDName(s.SDID) {
		return nil, fmt.Errorf("%w: sd_id %q is not 1 to 32 printable ASCII characters without blank, =, ] and quote",
			ErrSyslog, s.SDID)
	}
	procID := "-"
	if s.PID != 0 {
		procID = strconv.Itoa(s.PID)
	}
	return guarded(func(dst []byte, ev *ipe.Event, c *Context, g guard) []byte {
		dst = s.appendPriority(dst, ev)
		dst = append(dst, "1 "...)
		if ev.Has&ipe.HasStamp != 0 && ev.Time >= 0 && ev.Time < year10000 {
			dst = c.clock.append(dst, ev.Time)
		} else {
			dst = append(dst, '-')
		}
		dst = append(dst, ' ')
		dst = appendHostname(dst, c.Host)
		dst = append(dst, " ipe-auditd "...)
		dst = append(dst, procID...)
		dst = append(dst, ' ')
		dst = append(dst, ev.Kind.String()...)
		dst = append(dst, " ["...)
		dst = append(dst, s.SDID...)
		dst = appendSDKeys(dst, ev, c, g)
		dst = append(dst, "] "...)
		return appendMessage(dst, ev, c, g)
	}), nil
}

// RFC3164 returns a Func that appends an event in the form that syslog(3)
// writes to /dev/log: RFC 3164 without the host name, the time being local. The
// message is the text form without time; there is no newline at its end. The
// error wraps [ErrSyslog].
func (s Syslog) RFC3164() (Func, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	tag := "ipe-auditd: "
	if s.PID != 0 {
		tag = "ipe-auditd[" + strconv.Itoa(s.PID) + "]: "
	}
	return guarded(func(dst []byte, ev *ipe.Event, c *Context, g guard) []byte {
		dst = s.appendPriority(dst, ev)
		if ev.Has&ipe.HasStamp != 0 { // receivers put in their own otherwise
			dst = time.UnixMilli(ev.Time).AppendFormat(dst, "Jan _2 15:04:05 ")
		}
		dst = append(dst, tag...)
		return appendMessage(dst, ev, c, g)
	}), nil
}

func (s Syslog) check() error {
	if s.Facility < 0 || s.Facility > 23 {
		return fmt.Errorf("%w: facility %d is not 0 to 23", ErrSyslog, s.Facility)
	}
	return nil
}

func (s Syslog) appendPriority(dst []byte, ev *ipe.Event) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.Facility*8+Severity(ev)), 10)
	return append(dst, '>')
}

// validSDName reports whether s is an SD-NAME of RFC 5424 section 6.
func validSDName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '=' || c == ']' || c == '"' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

// appendHostname appends host as HOSTNAME of RFC 5424 section 6.2.4: printable
// ASCII, at most 255. A name that is not like that has question marks in it.
func appendHostname(dst, host []byte) []byte {
	if len(host) == 0 {
		return append(dst, '-')
	}
	for i := range min(len(host), 255) {
		c := host[i]
		if c <= ' ' || c > '~' {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

// sdText appends what follows the opening quote of a parameter: the value, the
// closing quote and, where it is needed, KEY_hex.
func sdText(dst []byte, key string, g guard, b []byte) []byte {
	dst, whole := appendSDValue(dst, b, g)
	dst = append(dst, '"')
	if !whole {
		dst = append(append(append(dst, ' '), key...), `_hex="`...)
		dst = append(appendHex(dst, b), '"')
	}
	return dst
}

func sdList(dst []byte, key string, g guard, list [][]byte) []byte {
	return sdJoined(appendJoined(dst, list), len(dst), key, g)
}

func sdExtra(dst []byte, key string, g guard, extra []ipe.KeyValue) []byte {
	return sdJoined(appendJoinedExtra(dst, extra), len(dst), key, g)
}

// sdJoined writes as a text what was put together in dst[start:], and takes that
// away: the end of dst is scratch space too.
func sdJoined(dst []byte, start int, key string, g guard) []byte {
	end := len(dst)
	return slices.Delete(sdText(dst, key, g, dst[start:]), start, end)
}

// appendSDValue appends b as PARAM-VALUE and reports whether nothing in it had
// to be replaced.
func appendSDValue(dst, b []byte, g guard) ([]byte, bool) {
	if words.IsPlain(b) && bytes.IndexByte(b, ']') < 0 && g.letsPass(b) {
		return append(dst, b...), true
	}
	whole := true
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1 || unicode.IsControl(r) || words.Invisible(r) || g.forbids(b):
			dst = append(dst, "\uFFFD"...)
			whole = false
		case r == '"' || r == '\\' || r == ']':
			dst = append(dst, '\\', byte(r))
		default:
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst, whole
}
