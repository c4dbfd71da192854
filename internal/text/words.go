package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Count returns n things in words: "1 event", "3 events", "2 losses". Where the
// plural is not made with an s, many says it.
func Count[N uint64 | int](n N, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprint(n, " ", many[0])
	case strings.HasSuffix(one, "s"):
		return fmt.Sprint(n, " ", one, "es")
	}
	return fmt.Sprint(n, " ", one, "s")
}

// Times returns how often in words: "once", "3 times".
func Times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return Count(n, "time")
}

// List returns the first strings of list in words, and how many more there are of
// total.
func List(list []string, most, total int) string {
	list = list[:min(most, len(list))]
	text := strings.Join(list, ", ")
	if total > len(list) {
		text += fmt.Sprintf(" and %d more", total-len(list))
	}
	return text
}

// Span returns how long something took, in its two largest units, rounded down:
// "3d4h", "5m", "0s".
func Span(d time.Duration) string {
	d = max(d, 0)
	units := [...]struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.unit {
			continue
		}
		text := strconv.FormatInt(int64(d/u.unit), 10) + u.name
		if i+1 < len(units) {
			if rest := d % u.unit / units[i+1].unit; rest > 0 {
				text += strconv.FormatInt(int64(rest), 10) + units[i+1].name
			}
		}
		return text
	}
	return "0s"
}

// AppendTime appends a moment, in milliseconds since 1970 UTC, as RFC 3339 has it,
// with the offset of loc, which is the local zone when it is nil: a person compares with the clock on the wall, and it
// stays right when it is mailed to another place. Beyond the year 9999 it has a
// sign and as many digits as it takes (ISO 8601).
func AppendTime(dst []byte, ms int64, loc *time.Location) []byte {
	t := time.UnixMilli(ms)
	if loc != nil {
		t = t.In(loc)
	}
	if t.Year() > 9999 {
		dst = append(dst, '+')
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
}

// Time returns a moment as AppendTime writes it.
func Time(ms int64, loc *time.Location) string { return string(AppendTime(nil, ms, loc)) }

// Object names what was accessed: its path, device and inode, or what it was if it
// was no file.
func Object(ev *ipe.Event) string {
	text := ev.Object().String()
	if ev.Path != nil {
		text = Name(ev.Path)
	}
	if ev.Dev != nil {
		text += " dev=" + Name(ev.Dev)
	}
	if ev.Has&ipe.HasIno != 0 {
		text += " ino=" + strconv.FormatUint(ev.Ino, 10)
	}
	return text
}

// Host names a host.
func Host(name []byte) string {
	if name == nil {
		return "a host without a name"
	}
	return Name(name)
}

// Policy names a policy by its name and version.
func Policy(p *ipe.Policy) string {
	text := Name(p.Name)
	if p.Version != nil {
		text += " " + Name(p.Version)
	}
	return text
}

// PolicyInFull names a policy with as much of its digest as tells it from others.
func PolicyInFull(p *ipe.Policy) string {
	text := Policy(p)
	switch digest := Name(p.Digest); {
	case p.BuiltIn():
		return text + " (built into the kernel)"
	case len(digest) > 19 && utf8.RuneStart(digest[19]):
		return text + " (" + digest[:19] + "…)"
	case p.Digest != nil:
		return text + " (" + digest + ")"
	}
	return text
}

// Verdict returns a verdict as the text form of events has it.
func Verdict(v ipe.Verdict) string {
	switch v {
	case ipe.VerdictDenied:
		return "DENIED"
	case ipe.VerdictWouldDeny:
		return "WOULD DENY"
	case ipe.VerdictAllowed:
		return "ALLOWED"
	}
	return "UNKNOWN"
}
