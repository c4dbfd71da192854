package suggest

import (
	"slices"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Denial is an object that was denied, or would have been, for an operation.
type Denial struct {
	Op     string // as the kernel prints it
	Named  bool   // and as a rule of the policy that judged names it
	Hooks  []string
	Object fileprops.Object

	Denied    uint64 // how often, while enforcing
	WouldDeny uint64 // how often, while permissive
	Unknown   uint64 // how often, in a mode that the record does not tell

	Since int64 // when first, in milliseconds since 1970 UTC; 0 when not known

	Contained bool // some of it was in containers

	Comms  []string // the commands that caused it
	Others bool     // and more of them
}

// Denials returns the objects of what was denied, in the order of the groups.
func Denials(groups []*tally.Group) []Denial {
	type key struct {
		op, path, dev string
		ino           uint64
		noFile, data  bool
	}
	var denials []Denial
	index := make(map[key]int)
	for _, g := range groups {
		ev := g.Sample()
		if ev.Action != ipe.ActionDeny {
			continue
		}
		o, hook := fileprops.ObjectOf(&ev), string(ev.Hook)
		k := key{string(ev.Op), o.Path, o.Dev, o.Ino, o.NoFile, o.Data}
		i, known := index[k]
		if !known {
			i = len(denials)
			first := o
			first.Held = nil // add has them too
			index[k], denials = i, append(denials, Denial{Op: k.op, Object: first})
		}
		denials[i].add(g, o, hook)
	}
	return denials
}

// add counts the events of a group, which are about the object o.
func (d *Denial) add(g *tally.Group, o fileprops.Object, hook string) {
	if !slices.Contains(d.Hooks, hook) {
		d.Hooks = append(d.Hooks, hook)
	}
	d.Named = d.Named || Named(g.Event.RuleKind)
	if o.Time > d.Object.Time {
		d.Object.Time, d.Object.PID = o.Time, o.PID
	}
	d.Object.Held = append(d.Object.Held, o.Held...)
	if g.Timed && (d.Since == 0 || g.First < d.Since) {
		d.Since = g.First
	}
	switch g.Event.Verdict {
	case ipe.VerdictDenied:
		d.Denied += g.Count
	case ipe.VerdictWouldDeny:
		d.WouldDeny += g.Count
	default:
		d.Unknown += g.Count
	}
	d.Contained = d.Contained || g.Contained
	callers, others := g.Comms.List()
	for _, c := range callers {
		switch comm := string(c.Name); {
		case slices.Contains(d.Comms, comm):
		case len(d.Comms) == maxComms:
			d.Others = true
		default:
			d.Comms = append(d.Comms, comm)
		}
	}
	d.Others = d.Others || others > 0
}

// Named reports whether a rule of that kind has the operation of the access, so
// that policies of that kernel can name it.
func Named(kind ipe.RuleKind) bool { return kind == ipe.RuleExplicit || kind == ipe.RuleOpDefault }

// maxComms is how many commands are named.
const maxComms = 5

// text returns what was denied, how often, since when and who did it, in
// printable words, with times of zone.
func (d *Denial) text(zone *time.Location) string {
	var b strings.Builder
	b.WriteString(d.Object.String())
	if d.Op != "EXECUTE" {
		b.WriteString(" for " + text.Name(d.Op))
	}
	separator := ": "
	for _, c := range []struct {
		what string
		n    uint64
	}{{"denied", d.Denied}, {"would have been denied", d.WouldDeny}, {"denied or only recorded", d.Unknown}} {
		if c.n > 0 {
			b.WriteString(separator + c.what + " " + text.Times(c.n))
			separator = ", "
		}
	}
	if d.Since != 0 {
		b.WriteString(" since " + text.Time(d.Since, zone))
	}
	for i, comm := range d.Comms {
		b.WriteString([]string{", by ", ", "}[min(i, 1)] + text.Name(comm))
	}
	if d.Others && len(d.Comms) > 0 {
		b.WriteString(" and others")
	}
	return b.String()
}
