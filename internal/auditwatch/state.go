package auditwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// setting is a number of struct audit_status that matters here.
type setting uint8

const (
	enabled setting = iota
	failure
	auditd
	rateLimit
	backlogLimit
	backlogWaitTime
	settings
)

// state is how things stand, as far as it is known and was told.
type state struct {
	BootID string `json:"boot_id"`

	Known bool             `json:"known"` // Values are from an answer
	Value [settings]uint32 `json:"values"`
	Best  [settings]uint32 `json:"best"` // the least that hides something, of this boot

	Ruled bool              `json:"ruled"` // Rules are from an answer
	Rules map[uint16]extent `json:"rules,omitempty"`
	First map[uint16]extent `json:"first_rules,omitempty"` // Rules as they were found first in this boot

	Enforcing, SuccessAudit ipe.Bool
	Enforced                bool     // IPE was enforcing at some time of this boot
	Policies                []string `json:"policies,omitempty"` // nil: not known

	Since map[string]time.Time `json:"since,omitempty"` // of a degradation, by its name
}

// extent is how much a rule takes away.
type extent uint8

const (
	some extent = 1 + iota // depends on the other conditions of the rule
	all
)

// The places in state.Rules of rules that are not about a type of record.
const (
	taskNever = 1 // below any type
	exitNever = 2
)

// observe returns the values of an answer.
func observe(st *auditstate.Status) (v [settings]uint32) {
	v[enabled], v[failure], v[auditd] = st.Enabled, st.Failure, st.PID
	v[rateLimit], v[backlogLimit], v[backlogWaitTime] = st.RateLimit, st.BacklogLimit, st.BacklogWaitTime
	return v
}

// rulesOf returns what the rules of an answer take away.
func rulesOf(st *auditstate.State) map[uint16]extent {
	rules := make(map[uint16]extent)
	for _, e := range st.Rules.Exclude {
		switch {
		case e.All > 0:
			rules[e.Type] = all
		case e.Some > 0:
			rules[e.Type] = some
		}
	}
	if st.Rules.TaskNever > 0 {
		rules[taskNever] = some
	}
	if st.Rules.ExitNever > 0 {
		rules[exitNever] = some
	}
	return rules
}

// better returns the one of two values that hides less.
func (s setting) better(a, b uint32) uint32 {
	switch s {
	case rateLimit, backlogLimit:
		if a == 0 || b == 0 {
			return 0 // no limit
		}
	case enabled:
		return max(min(a, 1), min(b, 1)) // a lock is neither
	}
	return max(a, b)
}

// set takes a value.
func (s *state) set(k setting, v uint32) {
	s.Value[k] = v
	s.Best[k] = k.better(s.Best[k], v)
}

// what returns how a change of the setting to v is called.
func (s setting) what(v uint32) string {
	if s == enabled {
		switch v {
		case 0:
			return ipe.WhatAuditDisabled
		case 2:
			return ipe.WhatAuditLocked
		}
		return ipe.WhatAuditEnabled
	}
	return [...]string{
		failure: ipe.WhatFailure, auditd: ipe.WhatAuditd, rateLimit: ipe.WhatRateLimit,
		backlogLimit: ipe.WhatBacklogLimit, backlogWaitTime: ipe.WhatBacklogWaitTime,
	}[s]
}

// settingOf returns the setting that a change is about.
func settingOf(what string) (setting, bool) {
	switch what {
	case ipe.WhatAuditDisabled, ipe.WhatAuditEnabled, ipe.WhatAuditLocked:
		return enabled, true
	}
	for k := range settings {
		if k != enabled && k.what(0) == what {
			return k, true
		}
	}
	return 0, false
}

// Change is what has changed, or is missing, without who did it.
type Change struct{ What, Old, New string }

// Event returns the change as an event. It has no stamp.
func (c Change) Event() ipe.Event {
	ev := ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(c.What)}
	if c.Old != "" {
		ev.Old = []byte(c.Old)
	}
	if c.New != "" {
		ev.New = []byte(c.New)
	}
	ev.Effect = ipe.AuditEffect(&ev)
	return ev
}

// compareValues takes the values of an answer, and returns what is other than
// before. The first answer of a boot says only what takes records of IPE away.
func (s *state) compareValues(now [settings]uint32) (list []Change) {
	for k := range settings {
		switch {
		case !s.Known && k == rateLimit && now[k] > 0:
			list = append(list, Change{What: k.what(now[k]), New: number(now[k])})
		case s.Known && now[k] != s.Value[k]:
			list = append(list, Change{k.what(now[k]), number(s.Value[k]), number(now[k])})
		}
		if !s.Known {
			s.Best[k] = now[k]
		}
		s.set(k, now[k])
	}
	s.Known = true
	return list
}

func number(v uint32) string { return strconv.FormatUint(uint64(v), 10) }

// compareRules is compareValues for rules.
func (s *state) compareRules(now map[uint16]extent) (list []Change) {
	var added, removed [all + 1][]uint16
	for _, typ := range slices.Sorted(maps.Keys(now)) {
		if e := now[typ]; s.Rules[typ] < e && (s.Ruled || severe(typ)) {
			added[e] = append(added[e], typ)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(s.Rules)) {
		if e := s.Rules[typ]; now[typ] < e {
			removed[e] = append(removed[e], typ)
		}
	}
	for _, e := range []extent{all, some} {
		for _, rule := range describe(added[e], e) {
			list = append(list, Change{What: ipe.WhatRuleAdded, New: rule})
		}
	}
	for _, e := range []extent{all, some} {
		for _, rule := range describe(removed[e], e) {
			list = append(list, Change{What: ipe.WhatRuleRemoved, Old: rule})
		}
	}
	if !s.Ruled {
		s.First = now
	}
	s.Ruled, s.Rules = true, now
	return list
}

// severe reports whether a rule about the type takes away records of IPE, or those
// that tell of such rules: not only who caused a denial.
func severe(typ uint16) bool {
	switch typ {
	case ipe.TypeMACStatus, ipe.TypeAccess, ipe.TypeConfigChange, ipe.TypePolicyLoad, ipe.TypeAuditConfigChange, ipe.TypeEventListener:
		return true
	}
	return false
}

// describe returns what rules take away to the same extent, as in Event.New.
func describe(types []uint16, e extent) (rules []string) {
	text := "exclude all of"
	if e == some {
		text = "exclude some of"
	}
	n := 0
	for _, typ := range types {
		switch typ {
		case taskNever:
			rules = append(rules, "task,never")
		case exitNever:
			rules = append(rules, "exit,never")
		default:
			text += " " + strconv.Itoa(int(typ))
			n++
		}
	}
	if n > 0 {
		rules = append(rules, text)
	}
	return rules
}

// degradations returns what was taken away and not given back.
func (s *state) degradations() (list []Change) {
	if s.Known {
		for k := range settings {
			best, v := s.Best[k], s.Value[k]
			switch k {
			case rateLimit:
				best = 0 // any limit is one
			case backlogWaitTime:
				continue
			case enabled, auditd, failure:
				v, best = min(v, 1), min(best, 1)
			}
			if v == best || k.better(v, best) != best {
				continue
			}
			c := Change{What: k.what(s.Value[k]), New: number(s.Value[k])}
			if k != auditd { // whose process id is another one each time
				c.Old = number(best)
			}
			list = append(list, c)
		}
	}
	var bad [all + 1][]uint16
	for _, typ := range slices.Sorted(maps.Keys(s.Rules)) {
		if e := s.Rules[typ]; severe(typ) || e > s.First[typ] {
			bad[e] = append(bad[e], typ)
		}
	}
	for _, e := range []extent{all, some} {
		for _, rule := range describe(bad[e], e) {
			list = append(list, Change{What: ipe.WhatRuleAdded, New: rule})
		}
	}
	if s.Enforced && s.Enforcing == ipe.False {
		list = append(list, Change{ipe.WhatEnforcing, "1", "0"})
	}
	return list
}

const (
	stateFile = "audit.json"
	maxState  = 1 << 20 // bytes; the names of many policies are some KiB
)

// loadState reads the state of the same boot from dir; an empty one otherwise, with
// an error where a file cannot be read.
func loadState(dir, bootID string) (state, error) {
	fresh := state{BootID: bootID}
	if dir == "" || bootID == "" {
		return fresh, nil
	}
	text, err := atomicfile.Read(atomicfile.OS{}, filepath.Join(dir, stateFile), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	var s state
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return fresh, fmt.Errorf("read how audit stood before: %w", err)
	}
	if s.BootID != bootID {
		return fresh, nil
	}
	return s, nil
}

// save replaces the file in dir. It is not synced: behind a power cut is another
// boot.
func (s *state) save(dir string) error {
	if dir == "" || s.BootID == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = atomicfile.Write(atomicfile.OS{}, filepath.Join(dir, stateFile), append(text, '\n'), 0o600, false)
	}
	if err != nil {
		return fmt.Errorf("write how audit stands: %w", err)
	}
	return nil
}
