package report

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
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
	d := document{
		Origin: Quote(r.Origin), Events: r.events, Unparsed: r.unparsed, Forged: r.forged, Skipped: uint64(max(r.skipped, 0)),
		Verdicts: verdicts{
			r.verdicts[ipe.VerdictDenied], r.verdicts[ipe.VerdictWouldDeny],
			r.verdicts[ipe.VerdictUnknown], r.verdicts[ipe.VerdictAllowed],
		},
		InForce:  r.inForceJSON(),
		Timeline: []json.RawMessage{}, Denials: []json.RawMessage{}, Errors: []json.RawMessage{},
		GivenUp: givenUp{r.timeline.givenUp, r.groups.GivenUp, r.groups.GivenUpEvents},
	}
	if r.Since != 0 {
		d.Since = Instant(r.Since)
	}
	if r.timed {
		d.First, d.Last = Instant(r.first), Instant(r.last)
	}
	if r.lost.events > 0 {
		d.Lost = &lost{Accuracy: r.lost.accuracy.String()}
		if r.lost.accuracy != ipe.AccuracyUnknown {
			d.Lost.Count = &r.lost.count
		}
	}
	for i := range r.timeline.items {
		d.Timeline = append(d.Timeline, r.timeline.items[i].appendJSON(nil))
	}
	for _, g := range r.groups.List() {
		d.Denials = append(d.Denials, g.AppendJSON(nil))
	}
	for _, err := range r.errors {
		d.Errors = append(d.Errors, Quote(err))
	}
	d.Unread = r.Unread.JSON()
	return AppendDocument(dst, &d)
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
// count, first, last, comms and other_comms.
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
	return append(dst, '}')
}

// appendJSON appends the event, and times and last where there are several.
func (it *item) appendJSON(dst []byte) []byte {
	c := format.Context{}
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

// inForceJSON says what was in force at the end.
func (r *Report) inForceJSON() []byte {
	s := &r.inForce
	dst := []byte(`{"policy":"` + policyWord(s) + `"`)
	if s.Known && s.Active {
		dst = format.AppendJSONText(dst, "active_policy_name", s.Policy.Name)
		dst = format.AppendJSONText(dst, "active_policy_version", s.Policy.Version)
		dst = format.AppendJSONText(dst, "active_policy_digest", s.Policy.Digest)
	}
	if s.Enforcing.Known() {
		dst = strconv.AppendBool(append(dst, `,"enforcing":`...), s.Enforcing == ipe.True)
	}
	if r.dated {
		dst = append(dst, `,"since":"`+Instant(r.changed)+`"`...)
	}
	return append(dst, '}')
}

// policyWord says what is known of the policy in force.
func policyWord(s *inforce.State) string {
	switch {
	case !s.Known:
		return "unknown"
	case !s.Active:
		return "none"
	case inforce.BuiltIn(&s.Policy):
		return "built_in"
	}
	return "active"
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
