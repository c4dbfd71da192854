package auditwatch

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const (
	// interval is how often is asked without a reason.
	interval = time.Minute

	// pause is the least between two answers that are compared. It is also what a
	// record that is under way has to arrive.
	pause = 250 * time.Millisecond

	// least is the least between two checks.
	least = time.Second

	// maxTries is how often is asked again while things change all the time.
	maxTries = 10

	// recent is how long ago the record of a rule may be to say who has added what
	// an answer shows.
	recent = 5 * time.Second
)

// Options say what a Watch watches. Emit must be set.
type Options struct {
	// Ask asks the kernel. It is called from Run's goroutine, and nil where nobody
	// can be asked.
	Ask func(context.Context) (auditstate.State, error)

	// Source is what Status calls Ask: "own", "helper".
	Source string

	// IPE reads how IPE stands; nil where that is not to be watched.
	IPE func() host.Watched

	// Emit puts an event into the stream. It is called from Run's goroutine, and the
	// event lives until it returns.
	Emit func(*ipe.Event)

	// Dir is where the state is kept for the next process of the boot with this
	// BootID; empty: nowhere.
	Dir, BootID string

	// Warn is called with what went wrong. It may be nil.
	Warn func(error)
}

// Watch tells what has changed.
type Watch struct {
	o    Options
	self uint64 // our own process id
	kick chan struct{}

	mu      sync.Mutex
	state   state
	records uint64 // that have changed state
	who     ipe.Event
	whoAt   time.Time
	decoder ipe.Decoder
	event   ipe.Event
	counts  map[string]uint64
	status  Status
}

// Status is how well is known how audit stands, and what is missing.
type Status struct {
	Source   string    // own, helper, none
	Asked    time.Time // when an answer came last; zero if never
	Err      error     // why the last one did not come
	Known    bool      // the numbers below are from an answer, or a record behind it
	Enabled  uint32
	Failure  uint32
	Auditd   uint32 // its process id; 0: none
	Rate     uint32
	Backlog  uint32
	Degraded []Degradation
	Counts   map[string]uint64 // events by their What, since the start
}

// Degradation is something that was taken away and not given back.
type Degradation struct {
	What, Old, New, Effect string
	Since                  time.Time // when it was seen first, at the latest
}

// New returns a Watch that goes on where the process before it stood, if that was
// of the same boot.
func New(o Options) *Watch {
	w := &Watch{o: o, self: uint64(os.Getpid()), kick: make(chan struct{}, 1), counts: make(map[string]uint64)}
	for _, what := range ipe.Whats() {
		w.counts[what] = 0
	}
	var err error
	if w.state, err = loadState(o.Dir, o.BootID); err != nil {
		w.warn(err)
	}
	w.status.Source = "none"
	return w
}

func (w *Watch) warn(err error) {
	if err != nil && w.o.Warn != nil {
		w.o.Warn(err)
	}
}

// Record takes a record that was received, of any type. It reports whether that is
// to be told: all are, but for our own joining of the group. It may be called from
// any goroutine.
func (w *Watch) Record(typ uint16, text []byte) (tell bool) {
	switch typ {
	case ipe.TypeAuditConfigChange, ipe.TypeEventListener, ipe.TypeMACStatus:
	default:
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ev := &w.event
	if w.decoder.Decode(ev, typ, text) != ipe.ClassIPE {
		return true
	}
	if typ == ipe.TypeEventListener && ev.Has&ipe.HasPID != 0 && ev.PID == w.self {
		return false
	}
	switch ev.Kind {
	case ipe.KindEnforcement:
		if ev.Res != ipe.False && ev.Enforcing.Known() {
			w.state.Enforcing = ev.Enforcing
			w.state.Enforced = w.state.Enforced || ev.Enforcing == ipe.True || ev.OldEnforcing == ipe.True
			w.records++
		}
	case ipe.KindAuditConfig:
		w.audit(ev)
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
	return true
}

// audit takes a record of audit. The caller holds the mutex.
func (w *Watch) audit(ev *ipe.Event) {
	for what := range w.counts {
		if string(ev.What) == what {
			w.counts[what]++
		}
	}
	if ev.IsRefused() {
		return
	}
	switch string(ev.What) {
	case ipe.WhatRuleAdded, ipe.WhatRuleRemoved:
		w.who = ipe.Event{Has: ev.Has & (ipe.HasAUID | ipe.HasSES | ipe.HasUID), AUID: ev.AUID, SES: ev.SES, UID: ev.UID}
		w.whoAt = time.Now()
	}
	k, ok := settingOf(string(ev.What))
	if n, valid := parse(ev.New); ok && valid && w.state.Known {
		w.state.set(k, n)
		w.records++
	}
}

// parse reads a number of 32 bits.
func parse(text []byte) (n uint32, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > (1<<32-1)/10 {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, len(text) > 0
}

// Check has Run ask now.
func (w *Watch) Check() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run asks and tells until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		last := time.Now()
		w.check(ctx)
		w.save()
		timer.Reset(interval)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.kick:
			if wait(ctx, max(pause, least-time.Since(last))) {
				return
			}
		}
	}
}

// wait waits, and reports whether ctx ended before.
func wait(ctx context.Context, d time.Duration) (ended bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}

// answer is what was found out.
type answer struct {
	audit auditstate.State
	asked bool // audit is an answer
	ipe   host.Watched
}

// find asks.
func (w *Watch) find(ctx context.Context) (a answer) {
	var err error
	if w.o.Ask == nil {
		err = errors.New("nobody can be asked")
	} else if a.audit, err = w.o.Ask(ctx); err == nil {
		a.asked = a.audit.Status != nil
	}
	if w.o.IPE != nil {
		a.ipe = w.o.IPE()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.asked {
		w.status.Source, w.status.Asked, w.status.Err = w.o.Source, time.Now(), nil
	} else if ctx.Err() == nil {
		w.status.Source, w.status.Err = "none", cmp.Or(err, fs.ErrInvalid)
	}
	return a
}

// check asks and tells. What is other than before is asked for again: until two
// answers in a row say the same, and no record has come in between.
func (w *Watch) check(ctx context.Context) {
	a := w.find(ctx)
	for tries := 0; ; tries++ {
		w.mu.Lock()
		records := w.records
		next := w.state.clone()
		changes := next.compare(&a)
		if len(changes) == 0 {
			w.state = next
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		if wait(ctx, pause) {
			return
		}
		a = w.find(ctx)
		w.mu.Lock()
		next = w.state.clone()
		again := next.compare(&a)
		if same := records == w.records && slices.Equal(changes, again); !same && tries < maxTries {
			w.mu.Unlock()
			continue
		}
		w.state = next
		who, whoAt := w.who, w.whoAt
		for _, c := range again {
			w.counts[c.What]++
		}
		w.mu.Unlock()
		w.tell(again, &who, whoAt)
		return
	}
}

// compare takes an answer, and returns what is other than before.
func (s *state) compare(a *answer) (list []Change) {
	if a.asked {
		list = s.compareValues(observe(a.audit.Status))
		if a.audit.Rules != nil {
			list = append(list, s.compareRules(rulesOf(&a.audit))...)
		}
	}
	return append(list, s.compareIPE(&a.ipe)...)
}

// compareIPE is compareValues for what securityfs says.
func (s *state) compareIPE(now *host.Watched) (list []Change) {
	change := func(what string, was *ipe.Bool, is ipe.Bool) {
		if was.Known() && is.Known() && *was != is {
			list = append(list, Change{what, digit(*was), digit(is)})
		}
		if is.Known() {
			*was = is
		}
	}
	change(ipe.WhatEnforcing, &s.Enforcing, now.Enforcing)
	change(ipe.WhatSuccessAudit, &s.SuccessAudit, now.SuccessAudit)
	s.Enforced = s.Enforced || s.Enforcing == ipe.True
	if now.Policies != nil {
		for _, name := range s.Policies {
			if !slices.Contains(now.Policies, name) {
				list = append(list, Change{What: ipe.WhatPolicyDeleted, Old: name})
			}
		}
		s.Policies = now.Policies
	}
	return list
}

func digit(b ipe.Bool) string {
	if b == ipe.True {
		return "1"
	}
	return "0"
}

// clone returns a copy that shares nothing that compare writes to: lists and maps
// are replaced as a whole.
func (s *state) clone() state {
	c := *s
	c.Since = maps.Clone(s.Since)
	return c
}

// tell emits changes. Those of rules say who added one a moment ago.
func (w *Watch) tell(changes []Change, who *ipe.Event, whoAt time.Time) {
	for _, c := range changes {
		ev := c.Event()
		if (c.What == ipe.WhatRuleAdded || c.What == ipe.WhatRuleRemoved) && time.Since(whoAt) < recent {
			ev.Has |= who.Has
			ev.AUID, ev.SES, ev.UID = who.AUID, who.SES, who.UID
		}
		w.o.Emit(&ev)
	}
}

// save keeps the state for the next process, and since when what is missing is.
func (w *Watch) save() {
	w.mu.Lock()
	since := make(map[string]time.Time)
	for _, c := range w.state.degradations() {
		key := c.What + " " + c.New
		since[key] = w.state.Since[key]
		if since[key].IsZero() {
			since[key] = time.Now()
		}
	}
	w.state.Since = since
	st := w.state.clone()
	w.mu.Unlock()
	w.warn(st.save(w.o.Dir))
}

// Status returns how things stand. It may be called from any goroutine.
func (w *Watch) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.status
	st.Counts = maps.Clone(w.counts)
	v := &w.state.Value
	st.Known, st.Enabled, st.Failure, st.Auditd, st.Rate, st.Backlog = w.state.Known, v[enabled], v[failure], v[auditd], v[rateLimit], v[backlogLimit]
	for _, c := range w.state.degradations() {
		ev := c.Event()
		st.Degraded = append(st.Degraded, Degradation{c.What, c.Old, c.New, string(ev.Effect), w.state.Since[c.What+" "+c.New]})
	}
	return st
}
