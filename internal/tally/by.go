package tally

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Dimensions are by what denials can be summed up.
func Dimensions() []string {
	return []string{"unit", "user", "exe", "container", "path", "rule", "host"}
}

// By sums up denials by one of the [Dimensions], in bounded memory.
type By struct {
	Of string

	sums map[string]*Sum
	size int

	// GivenUp is how many values were given up for others, with so many events.
	GivenUp, GivenUpEvents uint64
}

// Sum is what was denied of one value.
type Sum struct {
	Value []byte // nil: not known

	Denied, WouldDeny, Unknown uint64

	First, Last int64 // with Timed
	Timed       bool

	last lastEvent
}

// Count returns how many denials and would-be denials there were.
func (s *Sum) Count() uint64 {
	return eventsource.Sum(eventsource.Sum(s.Denied, s.WouldDeny), s.Unknown)
}

// valueOf returns what the event says of the dimension, nil for nothing.
func (b *By) valueOf(ev *eventsource.Event) []byte {
	switch b.Of {
	case "unit":
		return UnitOf(&ev.Event)
	case "user":
		if ev.Has&ipe.HasUID == 0 {
			return nil
		}
		return strconv.AppendUint(nil, uint64(ev.UID), 10)
	case "exe":
		return ev.Exe
	case "container":
		return ev.Container
	case "path":
		return ev.Path
	case "rule":
		return ev.Rule
	}
	if ev.On != nil {
		return ev.On.Name
	}
	return ev.Host
}

// Add counts a denial.
func (b *By) Add(ev *eventsource.Event) {
	value := b.valueOf(ev)
	key := "\x00" + string(value)
	if value == nil {
		key = ""
	}
	s := b.sums[key]
	if s == nil {
		if len(b.sums) >= maxGroups || b.size > maxBytes {
			b.giveUp()
		}
		if b.sums == nil {
			b.sums = make(map[string]*Sum)
		}
		s = &Sum{Value: bytes.Clone(value)}
		b.sums[key] = s
		b.size += 2 * len(key)
	}
	times := Times(&ev.Event)
	switch ev.Verdict {
	case ipe.VerdictDenied:
		s.Denied = eventsource.Sum(s.Denied, times)
	case ipe.VerdictWouldDeny:
		s.WouldDeny = eventsource.Sum(s.WouldDeny, times)
	default:
		s.Unknown = eventsource.Sum(s.Unknown, times)
	}
	s.last.observe(ev)
	if ev.Has&ipe.HasStamp == 0 {
		return
	}
	if !s.Timed {
		s.First, s.Last, s.Timed = ev.Time, ev.Time, true
	}
	s.First, s.Last = min(s.First, ev.Time), max(s.Last, ev.Time)
}

// List returns the sums, the worst first.
func (b *By) List() []*Sum {
	return slices.SortedFunc(maps.Values(b.sums), func(x, y *Sum) int {
		return cmp.Or(cmp.Compare(y.Denied, x.Denied), cmp.Compare(y.Count(), x.Count()), cmp.Compare(y.Last, x.Last), bytes.Compare(x.Value, y.Value))
	})
}

// giveUp forgets the half that matters least.
func (b *By) giveUp() {
	list := b.List()
	clear(b.sums)
	b.size = 0
	for i, s := range list {
		if i >= maxGroups/2 || b.size > maxBytes/2 {
			b.GivenUp++
			b.GivenUpEvents = eventsource.Sum(b.GivenUpEvents, s.Count())
			continue
		}
		key := "\x00" + string(s.Value)
		if s.Value == nil {
			key = ""
		}
		b.sums[key] = s
		b.size += 2 * len(key)
	}
}

// WriteTo writes the sum in two lines.
func (s *Sum) WriteTo(p *text.Page, of string) {
	value := text.Name(s.Value)
	switch {
	case s.Value == nil && of == "host":
		value = text.Host(nil)
	case s.Value == nil:
		value = "(" + of + " not known)"
	case of == "user":
		value = p.UserName(s.Value)
	case of == "rule":
		value = string(text.AppendEscaped(nil, s.Value))
	}
	p.Line("%8d  %s", s.Count(), value)
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{{s.Denied, "denied"}, {s.WouldDeny, "would be denied"}, {s.Unknown, "denied in an unknown mode"}} {
		if c.n > 0 {
			parts = append(parts, strconv.FormatUint(c.n, 10)+" "+c.what)
		}
	}
	line := strings.Join(parts, ", ")
	if s.Timed {
		line += "; " + p.Seen(s.First, s.Last)
	}
	p.Line("          %s%s", line, p.ID(s.last.appendID(nil)))
}

// AppendJSON appends the sum as a JSON object: the key of the dimension (uid for
// users), count, denied, would_deny, unknown, first, last and id.
func (s *Sum) AppendJSON(dst []byte, of string) []byte {
	start := len(dst)
	switch {
	case s.Value == nil:
	case of == "user":
		dst = appendNumber(dst, "uid", s.Value)
	default:
		dst = format.AppendJSONText(dst, of, s.Value)
	}
	for _, c := range []struct {
		key string
		n   uint64
	}{{"count", s.Count()}, {"denied", s.Denied}, {"would_deny", s.WouldDeny}, {"unknown", s.Unknown}} {
		dst = append(append(append(dst, `,"`...), c.key...), `":`...)
		dst = strconv.AppendUint(dst, c.n, 10)
	}
	if s.Timed {
		dst = append(dst, `,"first":"`+Instant(s.First)+`","last":"`+Instant(s.Last)+`"`...)
	}
	if id := s.last.appendID(nil); len(id) > 0 {
		dst = format.AppendJSONText(dst, "id", id)
	}
	dst[start] = '{' // in place of the first comma
	return append(dst, '}')
}
