package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Status is the state of a daemon at one moment. All counters count since its
// start.
type Status struct {
	Healthy bool     `json:"healthy"`
	Reasons []string `json:"reasons"` // why not, for a person; empty when healthy

	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	Kernel  string    `json:"kernel,omitempty"` // release
	Since   time.Time `json:"since"`            // start of the daemon

	Socket   *Socket           `json:"socket,omitempty"` // absent with --input
	Received uint64            `json:"received"`         // messages from the kernel, also those skipped
	Skipped  map[string]uint64 `json:"skipped"`          // messages that are not IPE's, by reason: ipe.Class
	Lost     []Loss            `json:"lost"`             // before the spool; what a sink missed stands with the sink
	Forged   uint64            `json:"forged"`           // messages refused: not sent by the kernel

	KernelLosses *KernelLosses `json:"kernel_losses,omitempty"` // absent with --input
	Audit        *Audit        `json:"audit,omitempty"`         // absent with --input
	Companions   *Companions   `json:"companions,omitempty"`    // absent with --input

	InForce        InForce                      `json:"in_force"`
	Accesses       map[string]map[string]uint64 `json:"accesses"`             // by verdict and operation, without those of which there were none
	AccessesMissed uint64                       `json:"accesses_missed"`      // entries overwritten before they were looked at
	LastDenial     time.Time                    `json:"last_denial,omitzero"` // of the newest access that was denied

	Spool Spool  `json:"spool"`
	Sinks []Sink `json:"sinks"`
	Feed  Feed   `json:"feed"`
}

// InForce is the policy in force, and its mode.
type InForce struct {
	Policy    string `json:"policy"` // active, built_in, none, unknown
	Name      string `json:"active_policy_name,omitempty"`
	Version   string `json:"active_policy_version,omitempty"`
	Digest    string `json:"active_policy_digest,omitempty"`
	Enforcing *bool  `json:"enforcing,omitempty"` // nil: not known
	NoIPE     bool   `json:"no_ipe,omitempty"`    // the kernel does not use IPE
}

// Socket is how the daemon hears the kernel.
type Socket struct {
	Inherited bool     `json:"inherited"`                // from the service manager; else the daemon's own
	Buffer    int64    `json:"receive_buffer"`           // granted, in bytes, before the kernel doubles it
	Asked     int64    `json:"receive_buffer_requested"` // in bytes; more than Buffer if it was refused
	Types     []uint16 `json:"filter_types"`             // record types that the filter lets through
}

// Loss is one account of the ledger.
type Loss struct {
	Stage    string    `json:"stage"`         // as in an event "lost"
	Count    uint64    `json:"count"`         // records
	Accuracy string    `json:"accuracy"`      // of Count: exact or at_least, as in an event
	Last     time.Time `json:"last,omitzero"` // when it was last told; zero if never, or not known
}

// KernelLosses is how well it is known what the kernel loses before any socket.
type KernelLosses struct {
	Source   string    `json:"source"`         // own or helper (AUDIT_GET), kernel_log, none, pending at the start
	Accuracy string    `json:"accuracy"`       // that a loss would be told with now: exact, at_least, unknown
	Asked    time.Time `json:"asked,omitzero"` // when AUDIT_GET was answered last; zero if never
	Error    string    `json:"error,omitempty"`
}

// Companions is what is received of the records that say who asked for an access,
// and of what /proc says.
type Companions struct {
	// State is on; off while they are shut out, because too many belonged to nobody's
	// access; none where the kernel sends none; disabled by the configuration.
	State   string    `json:"state"`
	Until   time.Time `json:"until,omitzero"` // while off: when they are let in again
	Join    float64   `json:"join_seconds"`   // for how long an access waits for them
	Joined  uint64    `json:"joined"`         // records that belonged to an access
	Foreign uint64    `json:"foreign"`        // records that did not
	Late    uint64    `json:"late"`           // accesses whose companions came behind the wait
	ShutOut uint64    `json:"shut_out"`       // how often they were
	Proc    *Proc     `json:"proc,omitempty"` // absent where /proc is not asked
}

// Proc is what became of the processes that /proc was to be asked about.
type Proc struct {
	Asked   uint64 `json:"asked"`
	Found   uint64 `json:"found"`
	Dropped uint64 `json:"dropped"` // given up, because too many came at once
}

// Spool is where events rest.
type Spool struct {
	ID        string    `json:"id"`
	Last      uint64    `json:"seq"`           // newest sequence number of ID
	Form      string    `json:"form"`          // FormDisk or FormMemory: where new events go
	Dir       string    `json:"dir,omitempty"` // where they should go; empty: memory is meant
	Entries   uint64    `json:"entries"`       // kept
	Oldest    time.Time `json:"oldest,omitzero"`
	Disk      int64     `json:"disk_bytes"`
	Memory    int64     `json:"memory_bytes"`
	Limit     int64     `json:"limit_bytes"` // of the form
	Appended  uint64    `json:"appended"`
	Cut       uint64    `json:"cut"`      // events longer than an entry can be
	GivenUp   uint64    `json:"given_up"` // oldest events, overwritten whether somebody wanted them or not
	Syncs     uint64    `json:"syncs"`
	Failures  uint64    `json:"failures"` // of the disk
	LastError string    `json:"last_error,omitempty"`
}

// The forms of a spool.
const (
	FormDisk   = "disk"
	FormMemory = "memory"
)

// Sink is how one sink fares.
type Sink struct {
	Name  string    `json:"name"`
	Type  string    `json:"type"`
	State string    `json:"state"` // starting, ok, retrying, stopped
	Since time.Time `json:"since"` // of the state

	LagEvents  uint64  `json:"lag_events"`  // in the spool and not delivered, wanted or not
	LagSeconds float64 `json:"lag_seconds"` // age of the oldest of them

	Delivered    uint64 `json:"delivered"`
	Unmatched    uint64 `json:"unmatched"`     // not asked for
	Coalesced    uint64 `json:"coalesced"`     // counted in an event "repeated" instead
	EarlyFlushes uint64 `json:"early_flushes"` // events "repeated" before their time: too many kinds
	Skipped      uint64 `json:"skipped"`       // no event to this version
	Unparsed     uint64 `json:"unparsed"`      // IPE's, but not readable; delivered where asked for
	Overwritten  uint64 `json:"overwritten"`   // lost to this sink, where the number is known
	Gaps         uint64 `json:"gaps"`          // how often any were
	Retries      uint64 `json:"retries"`       // attempts that failed
	SaveErrors   uint64 `json:"cursor_save_errors"`

	Counters []Counter `json:"counters,omitempty"` // what this type of sink counts of its own

	LastDelivery  time.Time `json:"last_delivery,omitzero"`
	LastError     string    `json:"last_error,omitempty"` // stays after the recovery
	LastErrorTime time.Time `json:"last_error_time,omitzero"`
}

// Counter is what a sink counts of its own.
type Counter struct {
	Name  string `json:"name"`
	Label string `json:"label,omitempty"` // what tells counters of one name apart
	Value string `json:"value,omitempty"` // of the label
	Count uint64 `json:"count"`
	Help  string `json:"-"` // of the metric
}

// Feed is the feed itself.
type Feed struct {
	Clients    int    `json:"clients"`
	MaxClients int    `json:"max_clients"`
	Opened     uint64 `json:"opened"`  // streams
	Refused    uint64 `json:"refused"` // streams that were too many
	Sent       uint64 `json:"sent"`    // events, to all clients together
	Lost       uint64 `json:"lost"`    // events overwritten before a client got them
}

const (
	lossIsRecent = 10 * time.Minute // a loss this long ago is still a reason
	lagIsLong    = time.Minute      // a sink this far behind is, though nothing fails
)

// Complete fills in what follows from the rest: it judges the health, adds to
// Reasons, and sees to it that nothing is absent that could be counted. It is
// called once.
func (st *Status) Complete(now time.Time) {
	skipped := make(map[string]uint64)
	for class := ipe.Class(0); class.String() != ""; class++ {
		if class != ipe.ClassIPE {
			skipped[class.String()] = st.Skipped[class.String()]
		}
	}
	maps.Copy(skipped, st.Skipped)
	st.Skipped = skipped
	accesses := make(map[string]map[string]uint64)
	for v := ipe.VerdictNone + 1; v.String() != ""; v++ {
		accesses[v.String()] = make(map[string]uint64)
		maps.Copy(accesses[v.String()], st.Accesses[v.String()])
	}
	st.Accesses = accesses
	st.InForce.Policy = cmp.Or(st.InForce.Policy, "unknown")
	slices.SortStableFunc(st.Sinks, func(a, b Sink) int { return cmp.Compare(a.Name, b.Name) })
	st.Reasons = append([]string{}, st.Reasons...)
	st.addReasons(now)
	st.Healthy = len(st.Reasons) == 0
	// Arrays in JSON, never null.
	st.Lost = append([]Loss{}, st.Lost...)
	st.Sinks = append([]Sink{}, st.Sinks...)
}

// addReasons adds to Reasons.
func (st *Status) addReasons(now time.Time) {
	add := func(format string, args ...any) { st.Reasons = append(st.Reasons, fmt.Sprintf(format, args...)) }
	if st.Audit != nil {
		for _, g := range st.Audit.Degraded {
			add("%s", g.reason())
		}
	}
	for _, l := range st.Lost {
		if !l.Last.IsZero() && now.Sub(l.Last) < lossIsRecent {
			add("records were lost at stage %s in the last %v", l.Stage, lossIsRecent)
		}
	}
	if st.Spool.Dir != "" && st.Spool.Form != FormDisk {
		add("the spool is in memory because its disk failed: %s", st.Spool.LastError)
	}
	for i := range st.Sinks {
		s := &st.Sinks[i]
		switch {
		case s.State == "retrying":
			add("sink %q fails: %s", s.Name, s.LastError)
		case s.State == "stopped":
			add("sink %q has stopped", s.Name)
		case s.LagSeconds >= lagIsLong.Seconds():
			add("sink %q is %d events and %.0f s behind", s.Name, s.LagEvents, s.LagSeconds)
		}
	}
}
