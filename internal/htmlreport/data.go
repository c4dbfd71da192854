package htmlreport

import "time"

// Data is what a page shows. Its texts are shown as they are: whatever they
// hold, markup included, is text. Counts that end in Text are ready to be read,
// such as "at least 12".
type Data struct {
	Source  string // where the events come from
	Events  uint64
	First   time.Time // zero where no event has a time
	Last    time.Time
	Since   time.Time // what --since was; zero for everything
	Written time.Time
	Version string // of ipe-auditd
	Hosts   int

	// Warnings come first on the page: what was lost, not read, or left out.
	Warnings []string

	Verdicts []Count // in the order of [VerdictClasses]
	InForce  []State

	Histogram Histogram
	Gaps      []Gap
	Policies  []Span
	Timeline  []Entry
	Tops      []Top
	Denials   []Denial

	// Notes stand at the end: bounds that were met.
	Notes []string
}

// Count is a number with its name. Class is one of [VerdictClasses], or empty.
type Count struct {
	Label string
	Class string
	N     uint64
}

// VerdictClasses are the verdicts as JSON has them, the worst first.
var VerdictClasses = [...]string{"denied", "would_deny", "unknown", "allowed"}

// State is what is in force on a number of hosts.
type State struct {
	Policy string // name and version, or why there is none
	Digest string
	Mode   string // enforcing, permissive, mode unknown
	Since  time.Time
	Hosts  int
	Names  []string // of the first of them
}

// Histogram counts accesses over time: bins of one width, without a gap.
type Histogram struct {
	Start time.Time
	Width time.Duration
	Bins  [][len(VerdictClasses)]uint64
}

// End returns the end of the last bin.
func (h *Histogram) End() time.Time { return h.Start.Add(time.Duration(len(h.Bins)) * h.Width) }

// Gap is a time in which events may be missing.
type Gap struct {
	From, Until time.Time // equal where only one of them is known
	Text        string
	Host        string
}

// Span is a time in which one policy was in force in one mode, on the one host
// of the page.
type Span struct {
	From, Until time.Time
	Policy      string
	Mode        string
}

// Entry is what happened to policies, modes and the stream of events.
type Entry struct {
	Time time.Time
	Text string
	Host string
	Loss bool
}

// Top lists what occurs most.
type Top struct {
	Title string
	Items []Count
	Rest  uint64 // of all others
}

// Denial is one kind of access that was, or would be, denied.
type Denial struct {
	Verdict     string // one of VerdictClasses
	Count       uint64
	Hosts       uint64
	New         bool
	First, Last time.Time // zero where no event has a time
	Op, Hook    string
	Object      string
	Rule        string
	Policy      string
	Who         string
	Explanation []string // paragraphs
	Allow       string   // lines of a policy that would allow it
	AllowNote   string   // what to know of them, or why there are none
}
