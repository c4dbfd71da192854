package readiness

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/measure"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// object returns what ev says of the access itself, and nothing of how it was
// judged: the candidate judges anew. The slices are those of ev.
func object(ev *ipe.Event) ipe.Event {
	return ipe.Event{
		Kind: ev.Kind, Dialect: ev.Dialect, Has: ev.Has & (ipe.HasStamp | ipe.HasPID | ipe.HasIno), Time: ev.Time,
		Op: ev.Op, Hook: ev.Hook, Comm: ev.Comm, Path: ev.Path, Dev: ev.Dev, PID: ev.PID, Ino: ev.Ino,
	}
}

// The bounds of what is held, beyond which less is known.
const (
	maxObjects    = 10_000
	maxProperties = 16       // of one object
	maxStrings    = 16 << 10 // bytes of path, device and rule; records are at most half as long
)

// held are the properties that objects had when rules that asked for them have
// matched, by object.
type held map[string][]policy.Property

// key names the object of an access.
func (h held) key(ev *ipe.Event) string {
	return string(bytes.Join([][]byte{strconv.AppendUint(nil, ev.Ino, 10), ev.Dev, ev.Path}, []byte{0}))
}

// learn takes what the rule that matched tells of the object of an access.
func (h *held) learn(ev *ipe.Event) {
	if ev.RuleKind != ipe.RuleExplicit || len(ev.Path)+len(ev.Dev)+len(ev.Rule) > maxStrings {
		return
	}
	key := h.key(ev)
	known := (*h)[key]
	for _, p := range measure.ObjectOf(ev).Held {
		same := func(q policy.Property) bool { return q.String() == p.String() }
		if len(known) < maxProperties && !slices.ContainsFunc(known, same) {
			known = append(known, p)
		}
	}
	if *h == nil {
		*h = make(held)
	}
	if len(*h) < maxObjects || (*h)[key] != nil {
		(*h)[key] = known
	}
}

// of returns what is known of the object of an access.
func (h held) of(ev *ipe.Event) []policy.Property { return h[h.key(ev)] }
