package explain

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// ID is what people call an event by: one of its spool and number, its stamp and
// serial, or that it is the last.
type ID struct {
	Last bool

	// Spool is what the id of the spool begins with, in hex. Empty: the newest
	// spool. Seq is 0 where the event is called by something else.
	Spool string
	Seq   uint64

	// Stamp is in milliseconds since 1970, with Serial.
	Stamp  int64
	Serial uint64

	text string
}

// String returns the id as it was written.
func (id ID) String() string { return id.text }

var (
	seqForm   = regexp.MustCompile(`^(?:([0-9a-f]{4,16}):)?([0-9]{1,20})$`)
	stampForm = regexp.MustCompile(`^(?:audit\()?([0-9]{1,15})\.([0-9]{3}):([0-9]{1,20})\)?:?$`)
)

// ErrNoID says that a text is not the id of an event.
var ErrNoID = errors.New("not an event id")

// ParseID reads "last", SEQ, SPOOL:SEQ, of which the first four digits of the spool
// may be enough, or STAMP:SERIAL as audit(...) has it. The error is ErrNoID.
func ParseID(s string) (ID, error) {
	id := ID{text: s}
	if s == "last" {
		id.Last = true
		return id, nil
	}
	if m := seqForm.FindStringSubmatch(s); m != nil {
		seq, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil || seq == 0 {
			return ID{}, ErrNoID
		}
		id.Spool, id.Seq = m[1], seq
		return id, nil
	}
	if m := stampForm.FindStringSubmatch(s); m != nil {
		stamp, err := strconv.ParseInt(m[1]+m[2], 10, 64)
		serial, err2 := strconv.ParseUint(m[3], 10, 64)
		if err == nil && err2 == nil {
			id.Stamp, id.Serial = stamp, serial
			return id, nil
		}
	}
	return ID{}, ErrNoID
}

// Cursor returns the place of the event, if its whole identity is known.
func (id ID) Cursor() (at spool.Cursor, ok bool) {
	if len(id.Spool) < 16 {
		return at, false
	}
	at, err := spool.ParseCursor(id.Spool + ":" + strconv.FormatUint(id.Seq, 10))
	return at, err == nil
}

// Finder picks events out of a stream. One goroutine may use it.
type Finder struct {
	ID ID

	// N is how many of the last events are wanted, with ID.Last.
	N int

	// Match says which events count. Nil: all.
	Match func(*ipe.Event) bool

	found []found
	order uint64
	newer map[spool.ID]int64 // the time of the newest event of each spool, with an ID of a number only
}

// found is an event that may be wanted, as JSON with its record.
type found struct {
	line  []byte
	time  int64
	order uint64
	host  string
	spool spool.ID
}

// Add takes the next event.
func (f *Finder) Add(ev *eventsource.Event) {
	id := &f.ID
	if id.Seq != 0 && id.Spool == "" && ev.At.ID != 0 {
		if f.newer == nil {
			f.newer = make(map[spool.ID]int64)
		}
		f.newer[ev.At.ID] = max(f.newer[ev.At.ID], ev.Time)
	}
	switch {
	case f.Match != nil && !f.Match(&ev.Event):
	case f.Match == nil && id.Last && ev.Kind == ipe.KindHeartbeat: // nothing happened
	case id.Last:
		f.addLast(ev)
	case id.Seq != 0 && ev.At.Seq == id.Seq && strings.HasPrefix(ev.At.ID.String(), id.Spool),
		id.Serial != 0 && ev.Serial == id.Serial && ev.Time == id.Stamp && ev.Has&ipe.HasStamp != 0:
		f.keep(ev, nil)
	}
}

// addLast keeps an event if it is one of the last so far.
func (f *Finder) addLast(ev *eventsource.Event) {
	n := max(f.N, 1)
	var line []byte
	if len(f.found) == n {
		if ev.Time < f.found[0].time {
			return
		}
		line = f.found[0].line
		f.found = slices.Delete(f.found, 0, 1)
	}
	f.keep(ev, line[:0])
	slices.SortStableFunc(f.found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.order, b.order))
	})
}

// keep keeps an event, in the memory of line.
func (f *Finder) keep(ev *eventsource.Event, line []byte) {
	f.order++
	c := format.Context{Raw: true, Identity: format.Identity{Spool: uint64(ev.At.ID), Seq: ev.At.Seq, Host: ev.Host, BootID: ev.BootID}}
	f.found = append(f.found, found{
		line: format.AppendJSON(line, &ev.Event, &c), time: ev.Time, order: f.order, host: text.Host(ev.Host), spool: ev.At.ID,
	})
}

// Found returns the events that were wanted, the oldest first, each to be read by
// [format.Parser]. The error says in one line why it is not known which was meant,
// of which there is none or which host has it; origin is where the events are from,
// and hosts are those that have some.
func (f *Finder) Found(origin string, hosts []*eventsource.Host) ([][]byte, error) {
	id := &f.ID
	if id.Seq != 0 && id.Spool == "" {
		if names := namesOf(hosts); len(names) > 1 {
			return nil, fmt.Errorf("%v may be an event of each of %d hosts: %s; --host says which is meant, or write SPOOL:SEQ", id, len(names), text.List(names, 5, len(names)))
		}
		newest := f.newest()
		f.found = slices.DeleteFunc(f.found, func(e found) bool { return e.spool != newest })
	}
	switch {
	case len(f.found) > 0:
	case id.Last && f.Match != nil:
		return nil, fmt.Errorf("%s has no event that matches", origin)
	case id.Last:
		return nil, fmt.Errorf("%s has no event", origin)
	case f.Match != nil:
		return nil, fmt.Errorf("%s has no event %v that matches", origin, id)
	case id.Serial != 0:
		return nil, fmt.Errorf("%s has no event %v", origin, id)
	case id.Spool == "":
		return nil, fmt.Errorf("%s has no event %v: it was overwritten, or never there; write the id as shown at the end of a line", origin, id)
	default:
		return nil, fmt.Errorf("%s has no event %v: it was overwritten, or never there", origin, id)
	}
	if !id.Last {
		if spools := distinct(f.found, func(e found) string { return e.spool.String() }); id.Serial == 0 && len(spools) > 1 {
			return nil, fmt.Errorf("%v is an event of %d spools, %s: write more of the one that is meant", id, len(spools), text.List(spools, 5, len(spools)))
		}
		if names := distinct(f.found, func(e found) string { return e.host }); len(names) > 1 {
			return nil, fmt.Errorf("%v is an event of %d hosts: %s; --host says which is meant", id, len(names), text.List(names, 5, len(names)))
		}
	}
	var lines [][]byte
	for _, e := range f.found {
		lines = append(lines, bytes.TrimSpace(e.line))
	}
	return lines, nil
}

// newest returns the spool whose last event is the newest.
func (f *Finder) newest() (id spool.ID) {
	first := true
	var at int64
	for s, t := range f.newer {
		if first || t > at || t == at && s > id {
			first, id, at = false, s, t
		}
	}
	return id
}

func namesOf(hosts []*eventsource.Host) (names []string) {
	for _, h := range hosts {
		if !h.Stray {
			names = append(names, text.Host(h.Name))
		}
	}
	return names
}

// distinct returns the different values of the events, in their order.
func distinct(list []found, of func(found) string) (values []string) {
	for _, e := range list {
		if v := of(e); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}
