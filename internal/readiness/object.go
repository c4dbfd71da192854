package readiness

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
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
	maxHeld       = 16 << 20 // bytes of the names and properties of all
)

// held are the properties that objects had when rules that asked for them have
// matched.
type held struct {
	byObject map[string][]policy.Property
	size     int // bytes
}

// key names the object of an access.
func (h *held) key(ev *ipe.Event) string {
	return string(bytes.Join([][]byte{strconv.AppendUint(nil, ev.Ino, 10), ev.Dev, ev.Path}, []byte{0}))
}

// learn takes what the rule that matched tells of the object of an access.
func (h *held) learn(ev *ipe.Event) {
	if ev.RuleKind != ipe.RuleExplicit {
		return
	}
	key := h.key(ev)
	for _, p := range fileprops.ObjectOf(ev).Held {
		h.add(key, p)
	}
}

// add adds a property to an object, if there is room and it is not there.
func (h *held) add(key string, p policy.Property) {
	known, text := h.byObject[key], p.String()
	size := len(text)
	if known == nil {
		size += len(key)
	}
	switch {
	case known == nil && len(h.byObject) >= maxObjects, len(known) >= maxProperties, h.size+size > maxHeld:
		return
	case slices.ContainsFunc(known, func(q policy.Property) bool { return q.String() == text }):
		return
	case h.byObject == nil:
		h.byObject = make(map[string][]policy.Property)
	}
	h.byObject[key] = append(known, p)
	h.size += size
}

// of returns what is known of the object of an access.
func (h *held) of(ev *ipe.Event) []policy.Property { return h.byObject[h.key(ev)] }
