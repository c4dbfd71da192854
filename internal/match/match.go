package match

import (
	"bytes"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Selection says which events are wanted; see the package documentation. A nil
// list is a key that was not given.
type Selection struct {
	Events   []string `yaml:"events,omitempty"`   // values of the JSON key "event"
	Verdicts []string `yaml:"verdicts,omitempty"` // values of "verdict"
	Ops      []string `yaml:"ops,omitempty"`      // values of "ipe_op"
	Hooks    []string `yaml:"hooks,omitempty"`    // values of "ipe_hook"
	Paths    []string `yaml:"paths,omitempty"`    // globs for "path"

	Units      []string `yaml:"units,omitempty"`      // patterns for "unit" and "user_unit": * and ?
	Users      []string `yaml:"users,omitempty"`      // "auid", "uid" or "euid", by number or by name on this host
	Containers []string `yaml:"containers,omitempty"` // patterns for "container"

	Not *Selection `yaml:"not,omitempty"`
}

// Matcher is a compiled list of selections. The nil Matcher matches every
// event. It is never changed, so several goroutines may use it.
type Matcher struct {
	any []selection
}

// selection is a compiled Selection.
type selection struct {
	kinds    kindSet
	verdicts verdictSet // 0: not given
	ops      [][]byte
	hooks    [][]byte
	paths    []glob
	caller   callerKeys
	not      *selection
}

type (
	kindSet    uint16 // bit 1<<Kind
	verdictSet uint8  // bit 1<<Verdict
)

// The kinds of events and the verdicts, as pkg/ipe has them.
const (
	lastKind    = ipe.KindCheckpoint
	lastVerdict = ipe.VerdictUnknown

	allKinds   = 1<<(lastKind+1) - 1
	accessKind = 1 << ipe.KindAccess
)

// Compile compiles selections. The first mistake is returned as an [*Error].
func Compile(selections []Selection) (*Matcher, error) {
	m := &Matcher{}
	for i := range selections {
		c := compiler{index: i}
		s := c.selection(&selections[i], "")
		if c.err != nil {
			return nil, c.err
		}
		m.any = append(m.any, *s)
	}
	return m, nil
}

// Match reports whether ev is wanted.
func (m *Matcher) Match(ev *ipe.Event) bool {
	if m == nil || len(m.any) == 0 {
		return true
	}
	for i := range m.any {
		if m.any[i].match(ev) {
			return true
		}
	}
	return false
}

// Reaches reports whether m can match an event of kind k: whether there is a
// selection for such events that no not takes away as a whole.
func (m *Matcher) Reaches(k ipe.Kind) bool {
	if m == nil || len(m.any) == 0 {
		return true
	}
	return slices.ContainsFunc(m.any, func(s selection) bool { return s.reach()&(1<<k) != 0 })
}

func (s *selection) match(ev *ipe.Event) bool {
	return s.kinds&(1<<ev.Kind) != 0 &&
		(s.verdicts == 0 || s.verdicts&(1<<ev.Verdict) != 0) &&
		(s.ops == nil || contains(s.ops, ev.Op)) &&
		(s.hooks == nil || contains(s.hooks, ev.Hook)) &&
		(s.paths == nil || matchesAny(s.paths, ev.Path)) &&
		s.caller.match(ev) &&
		(s.not == nil || !s.not.match(ev))
}

// contains reports whether values has b. No value is empty, so that an absent
// field is in no list.
func contains(values [][]byte, b []byte) bool {
	for _, v := range values {
		if bytes.Equal(v, b) {
			return true
		}
	}
	return false
}

func matchesAny(globs []glob, path []byte) bool {
	if path == nil {
		return false
	}
	for _, g := range globs {
		if g.match(path) {
			return true
		}
	}
	return false
}

// hasFieldKeys reports whether s asks for anything that only accesses have.
func (s *selection) hasFieldKeys() bool {
	return s.verdicts != 0 || s.ops != nil || s.hooks != nil || s.paths != nil || s.caller.given()
}

// reach returns the kinds of events of which s can match one.
func (s *selection) reach() kindSet {
	kinds := s.kinds
	if s.hasFieldKeys() {
		kinds &= accessKind
	}
	if s.not != nil {
		kinds &^= s.not.covers()
	}
	return kinds
}

// covers returns the kinds of events of which s matches all.
func (s *selection) covers() kindSet {
	if s.hasFieldKeys() {
		return 0
	}
	kinds := s.kinds
	if s.not != nil {
		kinds &^= s.not.reach()
	}
	return kinds
}

// compiler compiles one selection of a list and keeps the first mistake.
type compiler struct {
	index int
	err   error
}

func (c *compiler) fail(key, value, reason string) {
	if c.err == nil {
		c.err = &Error{Index: c.index, Key: key, Value: value, Reason: reason}
	}
}

// selection compiles in, whose keys are called by prefix and their name.
func (c *compiler) selection(in *Selection, prefix string) *selection {
	s := &selection{kinds: allKinds}
	if in.Events != nil {
		s.kinds = 0
		for _, i := range c.names(prefix+"events", in.Events, Events()) {
			s.kinds |= 1 << i
		}
	}
	if in.Verdicts != nil {
		for _, i := range c.names(prefix+"verdicts", in.Verdicts, Verdicts()) {
			s.verdicts |= 1 << (i + 1) // 0 is VerdictNone, which has no name
		}
	}
	s.ops = c.words(prefix+"ops", in.Ops, Ops())
	s.hooks = c.words(prefix+"hooks", in.Hooks, Hooks())
	if in.Paths != nil {
		c.notEmpty(prefix+"paths", in.Paths)
		for _, p := range in.Paths {
			g, err := compileGlob(p)
			if err != nil {
				c.fail(prefix+"paths", p, err.Error())
			}
			s.paths = append(s.paths, g)
		}
	}
	s.caller = c.caller(in, prefix)
	if in.Not != nil {
		s.not = c.selection(in.Not, prefix+"not.")
	}
	switch {
	case in.Events == nil && !s.hasFieldKeys() && s.not == nil:
		c.fail(strings.TrimSuffix(prefix, "."), "", "has none of the keys events, verdicts, ops, hooks, paths, units, users, containers, not")
	case s.reach() == 0 && s.hasFieldKeys() && s.kinds&accessKind == 0:
		c.fail(prefix+"events", strings.Join(in.Events, ", "),
			"matches no event, only access has verdicts, ops, hooks, paths, units, users and containers; use two selections")
	case s.reach() == 0:
		c.fail(prefix+"not", "", "matches no event, not takes away everything")
	}
	return s
}

// names returns for each of values its index in known.
func (c *compiler) names(key string, values, known []string) []int {
	c.notEmpty(key, values)
	var found []int
	for _, v := range values {
		i := slices.Index(known, v)
		if i < 0 {
			c.fail(key, v, "unknown"+text.DidYouMean(v, known))
			continue
		}
		found = append(found, i)
	}
	return found
}

// words compiles values of a field whose words the kernel may add to: those that
// are not known are taken too.
func (c *compiler) words(key string, values, known []string) [][]byte {
	if values == nil {
		return nil
	}
	c.notEmpty(key, values)
	var words [][]byte
	for _, v := range values {
		if !isKernelWord(v) {
			what := map[string]string{"ops": "operations", "hooks": "hooks"}[key[strings.LastIndexByte(key, '.')+1:]]
			c.fail(key, v, what+" are in capitals"+text.DidYouMean(v, known))
		}
		words = append(words, []byte(v))
	}
	return words
}

func (c *compiler) notEmpty(key string, values []string) {
	if len(values) == 0 {
		c.fail(key, "", "empty list matches no event; leave the key out to match all")
	}
}

func isKernelWord(s string) bool {
	for _, r := range s {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return s != ""
}
