package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// document is the JSON form. Events and groups in it have the keys of events,
// see ipe-events(7).
type document struct {
	Origin   json.RawMessage   `json:"origin"`
	Since    string            `json:"since,omitempty"`
	First    string            `json:"first,omitempty"`
	Last     string            `json:"last,omitempty"`
	Events   uint64            `json:"events"`
	Verdicts verdicts          `json:"verdicts"`
	Unparsed uint64            `json:"unparsed"`
	Forged   uint64            `json:"forged"`
	Skipped  uint64            `json:"skipped"`
	Lost     *lost             `json:"lost,omitempty"`
	InForce  json.RawMessage   `json:"in_force"`
	Timeline []json.RawMessage `json:"timeline"`
	Denials  []json.RawMessage `json:"denials"`
	GivenUp  givenUp           `json:"given_up"`
	Errors   []json.RawMessage `json:"errors"`
	Unread   []json.RawMessage `json:"unread"`
	LeftOut  uint64            `json:"left_out"`
	Repeats  uint64            `json:"repeats"`
	Unknown  bool              `json:"skipped_unknown,omitempty"`
}

type verdicts struct {
	Denied    uint64 `json:"denied"`
	WouldDeny uint64 `json:"would_deny"`
	Unknown   uint64 `json:"unknown"`
	Allowed   uint64 `json:"allowed"`
}

type lost struct {
	Count    *uint64 `json:"count,omitempty"`
	Accuracy string  `json:"accuracy"`
}

type givenUp struct {
	Timeline     uint64 `json:"timeline"`
	Denials      uint64 `json:"denials"`
	DenialEvents uint64 `json:"denial_events"`
}

// AppendJSON appends the whole report as one JSON object and a newline.
func (r *Report) AppendJSON(dst []byte) []byte {
	r.endHost()
	t := &r.total
	d := document{
		Origin: Quote(r.Origin), Events: t.events, Unparsed: t.unparsed, Forged: t.forged,
		Skipped: r.skipped, LeftOut: r.leftOut, Repeats: r.repeats, Unknown: r.unnumbered,
		Verdicts: verdicts{
			t.verdicts[ipe.VerdictDenied], t.verdicts[ipe.VerdictWouldDeny],
			t.verdicts[ipe.VerdictUnknown], t.verdicts[ipe.VerdictAllowed],
		},
		InForce:  r.inForceJSON(),
		Timeline: []json.RawMessage{}, Denials: []json.RawMessage{}, Errors: []json.RawMessage{},
		GivenUp: givenUp{r.timeline.givenUp, r.groups.GivenUp, r.groups.GivenUpEvents},
	}
	if r.Since != 0 {
		d.Since = Instant(r.Since)
	}
	if t.timed {
		d.First, d.Last = Instant(t.first), Instant(t.last)
	}
	if t.lost.events > 0 {
		d.Lost = &lost{Accuracy: t.lost.accuracy.String()}
		if t.lost.accuracy != ipe.AccuracyUnknown {
			d.Lost.Count = &t.lost.count
		}
	}
	items := r.timeline.list()
	for i := range items {
		d.Timeline = append(d.Timeline, items[i].appendJSON(nil))
	}
	for _, g := range r.groups.List() {
		d.Denials = append(d.Denials, g.AppendJSON(nil))
	}
	for _, err := range r.errors {
		d.Errors = append(d.Errors, Quote(err))
	}
	d.Unread = r.Unread.JSON()
	return AppendWithHosts(dst, &d, r.hosts.json)
}

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
// count, first, last, comms, other_comms and hosts.
func (g *Group) AppendJSON(dst []byte) []byte {
	dst = open(dst, &g.Event)
	dst = strconv.AppendUint(append(dst, `,"count":`...), g.Count, 10)
	if g.Timed {
		dst = append(dst, `,"first":"`+Instant(g.First)+`","last":"`+Instant(g.Last)+`"`...)
	}
	callers, others := g.Callers()
	dst = append(dst, `,"comms":[`...)
	for i, c := range callers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(append(dst, `{"count":`...), c.Count, 10)
		dst = append(format.AppendJSONText(dst, "comm", c.Comm), '}')
	}
	dst = append(dst, ']')
	if others > 0 {
		dst = strconv.AppendUint(append(dst, `,"other_comms":`...), others, 10)
	}
	dst = strconv.AppendUint(append(dst, `,"hosts":`...), g.Hosts, 10)
	return append(dst, '}')
}

// appendJSON appends the event, and times and last where there are several.
func (it *item) appendJSON(dst []byte) []byte {
	c := format.Context{Identity: format.Identity{Host: it.host, BootID: it.bootID}}
	if it.times == 1 {
		c.Spool, c.Seq = uint64(it.at.ID), it.at.Seq
	}
	dst = openIn(dst, &it.event, &c)
	if it.times > 1 {
		dst = strconv.AppendUint(append(dst, `,"times":`...), it.times, 10)
		if it.event.Has&ipe.HasStamp != 0 {
			dst = append(dst, `,"last":"`+Instant(it.last)+`"`...)
		}
	}
	return append(dst, '}')
}

// open appends the JSON of ev without its end.
func open(dst []byte, ev *ipe.Event) []byte { return openIn(dst, ev, &format.Context{}) }

func openIn(dst []byte, ev *ipe.Event, c *format.Context) []byte {
	dst = format.AppendJSON(dst, ev, c)
	return dst[:len(dst)-len("}\n")]
}

// Instant returns a time as events have it.
func Instant(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
