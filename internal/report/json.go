package report

import (
	"encoding/json"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
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
	OverTime *overTime         `json:"over_time,omitempty"`
	GivenUp  givenUp           `json:"given_up"`
	Errors   []json.RawMessage `json:"errors"`
	Unread   []json.RawMessage `json:"unread"`
	LeftOut  uint64            `json:"left_out"`
	Repeats  uint64            `json:"repeats"`
	Unknown  bool              `json:"skipped_unknown,omitempty"`
	NewSince string            `json:"new_since,omitempty"`
	By       string            `json:"by,omitempty"`
	Groups   []json.RawMessage `json:"groups,omitzero"`
}

type verdicts struct {
	Denied    uint64 `json:"denied"`
	WouldDeny uint64 `json:"would_deny"`
	Unknown   uint64 `json:"unknown"`
	Allowed   uint64 `json:"allowed"`
}

func verdictsOf(n *[5]uint64) verdicts {
	return verdicts{n[ipe.VerdictDenied], n[ipe.VerdictWouldDeny], n[ipe.VerdictUnknown], n[ipe.VerdictAllowed]}
}

// overTime counts accesses over time. Bins in which nothing happened are left out.
type overTime struct {
	StepSeconds int64     `json:"step_seconds"`
	Bins        []binJSON `json:"bins"`
}

type binJSON struct {
	From string `json:"from"`
	verdicts
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
		Origin: tally.Quote(r.Origin), Events: t.events, Unparsed: t.unparsed, Forged: t.forged,
		Skipped: r.skipped, LeftOut: r.leftOut, Repeats: r.repeats, Unknown: r.unnumbered,
		Verdicts: verdictsOf(&t.verdicts),
		InForce:  r.inForceJSON(),
		Timeline: []json.RawMessage{}, Denials: []json.RawMessage{}, Errors: []json.RawMessage{},
		GivenUp: givenUp{r.timeline.givenUp, r.groups.GivenUp, r.groups.GivenUpEvents},
	}
	if r.Since != 0 {
		d.Since = tally.Instant(r.Since)
	}
	if t.timed {
		d.First, d.Last = tally.Instant(t.first), tally.Instant(t.last)
	}
	if t.lost.Events > 0 {
		d.Lost = &lost{Accuracy: t.lost.Accuracy.String()}
		if t.lost.Accuracy != ipe.AccuracyUnknown {
			d.Lost.Count = &t.lost.Count
		}
	}
	items := r.timeline.list()
	for i := range items {
		d.Timeline = append(d.Timeline, items[i].appendJSON(nil))
	}
	groups := r.groups.List()
	if r.NewSince != 0 {
		d.NewSince = tally.Instant(r.NewSince)
		r.known.mark(groups, r.NewSince)
	}
	for _, g := range groups {
		r.own(g)
		one := g.AppendJSON(nil)
		if r.NewSince != 0 {
			one = append(strconv.AppendBool(append(one[:len(one)-1], `,"new":`...), g.New), '}')
		}
		d.Denials = append(d.Denials, one)
	}
	if r.By != "" {
		d.By, d.Groups = r.By, []json.RawMessage{}
		for _, s := range r.by.List() {
			d.Groups = append(d.Groups, s.AppendJSON(nil, r.By))
		}
	}
	if bins := r.histogram.list(); len(bins) > 0 {
		d.OverTime = &overTime{StepSeconds: r.histogram.width / 1000}
		for _, b := range bins {
			d.OverTime.Bins = append(d.OverTime.Bins, binJSON{tally.Instant(b.from), verdictsOf(&b.verdicts)})
		}
	}
	for _, err := range r.errors {
		d.Errors = append(d.Errors, tally.Quote(err))
	}
	d.Unread = r.Unread.JSON()
	return tally.AppendWithHosts(dst, &d, r.hosts.json)
}

// appendJSON appends the event, and times and last where there are several.
func (it *item) appendJSON(dst []byte) []byte {
	c := format.Context{Identity: format.Identity{Host: it.host, BootID: it.bootID}}
	if it.times == 1 {
		c.Spool, c.Seq = uint64(it.at.ID), it.at.Seq
	}
	dst = tally.OpenJSON(dst, &it.event, &c)
	if it.times > 1 {
		dst = strconv.AppendUint(append(dst, `,"times":`...), it.times, 10)
		if it.event.Has&ipe.HasStamp != 0 {
			dst = append(dst, `,"last":"`+tally.Instant(it.last)+`"`...)
		}
	}
	return append(dst, '}')
}
