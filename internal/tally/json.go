package tally

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendWithHosts appends v, an object, as one line of JSON with one member more
// at its end: "hosts", a list of the objects that stand in list, each behind a
// comma. Of 100,000 hosts they are too much to be encoded again.
func AppendWithHosts(dst []byte, v any, list []byte) []byte {
	dst = AppendDocument(dst, v)
	dst = slices.Grow(dst, len(list)+16)
	dst = append(dst[:len(dst)-len("}\n")], `,"hosts":[`...)
	if len(list) > 0 {
		dst = append(dst, list[1:]...)
	}
	return append(dst, "]}\n"...)
}

// Quote returns a JSON string without control characters, which encoding/json
// leaves in from U+007F on.
func Quote(s string) json.RawMessage {
	return format.AppendJSONText(nil, "", []byte(strings.ToValidUTF8(s, "\ufffd")))[len(`,"":`):]
}

// AppendDocument appends v as one line of JSON. Every part of it must be fit for
// encoding/json.
func AppendDocument(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // every part of it is valid JSON already
	}
	return b.Bytes()
}

// AppendJSON appends the group as a JSON object: the keys of an event, and
// count, first, last, comms, units, uids, id (of its last event) and hosts.
func (g *Group) AppendJSON(dst []byte) []byte {
	dst = OpenJSON(dst, &g.Event, &format.Context{})
	dst = strconv.AppendUint(append(dst, `,"count":`...), g.Count, 10)
	if g.Timed {
		dst = append(dst, `,"first":"`+Instant(g.First)+`","last":"`+Instant(g.Last)+`"`...)
	}
	dst = g.Comms.appendJSON(dst, "comm", format.AppendJSONText)
	if len(g.Units.counts) > 0 {
		dst = g.Units.appendJSON(dst, "unit", format.AppendJSONText)
	}
	if len(g.Users.counts) > 0 {
		dst = g.Users.appendJSON(dst, "uid", appendNumber)
	}
	if g.Package != "" {
		dst = format.AppendJSONText(dst, "package", []byte(g.Package))
	}
	if id := g.last.appendID(nil); len(id) > 0 {
		dst = format.AppendJSONText(dst, "id", id)
	}
	dst = strconv.AppendUint(append(dst, `,"hosts":`...), g.Hosts, 10)
	return append(dst, '}')
}

// appendJSON appends the members KEYs, a list of objects with count and KEY, and
// other_KEYs where there are any.
func (n *Names) appendJSON(dst []byte, key string, member func(dst []byte, key string, name []byte) []byte) []byte {
	list, others := n.List()
	dst = append(append(append(dst, `,"`...), key...), `s":[`...)
	for i, name := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(append(dst, `{"count":`...), name.Count, 10)
		dst = append(member(dst, key, name.Name), '}')
	}
	dst = append(dst, ']')
	if others > 0 {
		dst = append(append(append(dst, `,"other_`...), key...), `s":`...)
		dst = strconv.AppendUint(dst, others, 10)
	}
	return dst
}

// appendNumber appends a member whose value is the digits of a number.
func appendNumber(dst []byte, key string, digits []byte) []byte {
	return append(append(append(append(dst, `,"`...), key...), `":`...), digits...)
}

// OpenJSON appends the JSON of ev without its end, so that more can be said of it.
func OpenJSON(dst []byte, ev *ipe.Event, c *format.Context) []byte {
	dst = format.AppendJSON(dst, ev, c)
	return dst[:len(dst)-len("}\n")]
}

// Instant returns a time as events have it in JSON.
func Instant(ms int64) string { return text.Time(ms, time.UTC) }
