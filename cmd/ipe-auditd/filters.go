package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// filterOptions are the flags that select events. Of several flags all must hold,
// of several values of one any.
type filterOptions struct {
	events, verdicts, ops, hooks, paths, units, users, containers, match []string
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
		{"unit", "units", &o.units, nil, true, "only accesses from units like these `PATTERNS`: 'nginx*'"},
		{"user", "users", &o.users, nil, true, "only accesses by these `USERS`, or by who logged in as one: names of this host or numbers"},
		{"container", "containers", &o.containers, nil, true, "only accesses from containers like these `PATTERNS`"},
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
