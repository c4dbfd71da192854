package main

import (
	"fmt"
	"io"
	"net/url"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// filterOptions are the flags that select events. Of several flags all must hold,
// of several values of one any.
type filterOptions struct {
	events, verdicts, ops, hooks, paths, match []string
}

func (o *filterOptions) addTo(cmd *cobra.Command) {
	for _, f := range o.filters() {
		cmd.Flags().StringArrayVar(f.values, f.flag, nil, f.usage)
	}
}

// filter is a flag that selects events, and the parameter of the feed for it.
type filter struct {
	flag, parameter string
	values          *[]string
	known           []string // nil: any text
	open            bool     // kernels may know more
	usage           string
}

// filters returns the flags that select events.
func (o *filterOptions) filters() []filter {
	return []filter{
		{"event", "events", &o.events, match.Events(), false, "only these `KINDS`: access, policy_load, enforcement, lost, ..."},
		{"verdict", "verdicts", &o.verdicts, match.Verdicts(), false, "only accesses with these `VERDICTS`: denied, would_deny, allowed, unknown"},
		{"op", "ops", &o.ops, match.Ops(), true, "only accesses by these `OPERATIONS`: EXECUTE, KMODULE, ..."},
		{"hook", "hooks", &o.hooks, match.Hooks(), true, "only accesses at these `HOOKS`: BPRM_CHECK, MMAP, ..."},
		{"path", "paths", &o.paths, nil, true, "only accesses to paths like these `GLOBS`: '/usr/**'"},
		{"match", "match", &o.match, nil, true, "only what one of these `SELECTIONS` matches, in JSON: '[{\"verdicts\":[\"denied\"]},{\"events\":[\"lost\"]}]'"},
	}
}

// matcher returns what the flags select, nil where none is given. It warns of words
// that no kernel is known to write.
func (o *filterOptions) matcher(stderr io.Writer) (*match.Matcher, error) {
	parameters := url.Values{}
	for _, f := range o.filters() {
		if *f.values != nil {
			parameters[f.parameter] = *f.values
		}
	}
	m, err := api.Matcher(parameters)
	if err != nil {
		return nil, usageError{o.named(err)}
	}
	o.warnUnknown(stderr)
	return m, nil
}

// named says a mistake in a parameter of the feed with the name of its flag.
func (o *filterOptions) named(err error) error {
	for _, f := range o.filters() {
		if rest, ok := strings.CutPrefix(err.Error(), f.parameter+"="); ok {
			return fmt.Errorf("--%s %s", f.flag, rest)
		}
	}
	return err
}

// warnUnknown says which words are of no kernel that is known here: such a filter may
// match nothing for ever, without a word.
func (o *filterOptions) warnUnknown(stderr io.Writer) {
	for _, f := range o.filters() {
		for _, v := range strings.Split(strings.Join(*f.values, ","), ",") {
			if f.open && f.known != nil && v != "" && !slices.Contains(f.known, v) {
				fmt.Fprintf(stderr, "ipe-auditd: warning: --%s: no kernel is known to write %s%s\n", f.flag, text.Quote(v), text.DidYouMean(v, f.known))
			}
		}
	}
}

// callerOptions are the flags that select accesses by who asked.
type callerOptions struct {
	units, users []string
}

func (o *callerOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.units, "unit", nil, "only accesses from units like these `GLOBS`: 'nginx*'")
	cmd.Flags().StringArrayVar(&o.users, "user", nil, "only accesses by these `USERS`, or by who logged in as one: names of this host or numbers")
}

// matcher returns what the flags select, nil where none is given.
func (o *callerOptions) matcher() (func(*ipe.Event) bool, error) {
	if o.units == nil && o.users == nil {
		return nil, nil
	}
	units := splitValues(o.units)
	for _, glob := range units {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, usageError{fmt.Errorf("--unit %s is not a valid glob: it may have *, ? and sets in []", text.Quote(glob))}
		}
	}
	var uids []uint32
	for _, name := range splitValues(o.users) {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			found, lookup := user.Lookup(name)
			if lookup != nil {
				return nil, usageError{fmt.Errorf("--user %s: this host has no such user; write a number", text.Quote(name))}
			}
			if uid, err = strconv.ParseUint(found.Uid, 10, 32); err != nil {
				return nil, usageError{fmt.Errorf("--user %s: %w", text.Quote(name), err)}
			}
		}
		uids = append(uids, uint32(uid))
	}
	return func(ev *ipe.Event) bool {
		return (units == nil || slices.ContainsFunc(units, func(glob string) bool { return unitMatches(ev, glob) })) &&
			(uids == nil || ev.Has&ipe.HasUID != 0 && slices.Contains(uids, ev.UID) || ev.Has&ipe.HasAUID != 0 && slices.Contains(uids, ev.AUID))
	}, nil
}

// unitMatches reports whether the caller ran in such a unit, of the system or of a
// user.
func unitMatches(ev *ipe.Event, glob string) bool {
	for _, unit := range [][]byte{ev.Unit, ev.UserUnit} {
		if ok, _ := path.Match(glob, string(unit)); ok && unit != nil {
			return true
		}
	}
	return false
}

// splitValues returns the values of a flag that may be given again and have several
// with commas between.
func splitValues(flags []string) []string {
	if flags == nil {
		return nil
	}
	return strings.Split(strings.Join(flags, ","), ",")
}
