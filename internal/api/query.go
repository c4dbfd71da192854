package api

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/coalesce"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// maxLast is the largest N of last=N: the places of as many events are kept in
// memory for a moment.
const maxLast = 10_000

// query is what a client asks of /events.
type query struct {
	after  *spool.Cursor // nil: not given
	since  time.Time     // zero: not given
	until  time.Time     // zero: not given
	last   int           // -1: not given
	follow bool
	match  *match.Matcher // nil: everything
	weight int            // of the globs in match
	format format.Func    // nil: entries of the spool
	form   string         // the name of format
	raw    bool
	cursor bool

	coalesce time.Duration // 0: not at all
}

// Check returns what is wrong with parameters for /events, in one line.
func Check(parameters url.Values) error {
	_, err := parseQuery(parameters.Encode(), time.Now())
	return err
}

// Matcher returns what parameters for /events select, nil where that is everything.
// The error is in one line.
func Matcher(parameters url.Values) (*match.Matcher, error) {
	q, err := parseQuery(parameters.Encode(), time.Now())
	if err != nil {
		return nil, err
	}
	return q.match, nil
}

// parseQuery reads the part of a URL behind the question mark. Errors are for
// the client, in one line.
func parseQuery(raw string, now time.Time) (*query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	q := &query{last: -1, form: "json"}
	several := values["match"]
	delete(values, "match")
	var selection match.Selection
	lists := lists(&selection, "")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if list := lists[key]; list != nil {
			for _, v := range values[key] {
				*list = append(*list, splitList(v)...)
			}
			continue
		}
		if len(values[key]) > 1 {
			return nil, fmt.Errorf("%q is given %d times", key, len(values[key]))
		}
		if err := q.set(key, values[key][0], now); err != nil {
			return nil, err
		}
	}
	q.format = formats()[q.form]
	switch {
	case q.form == formSpool && (q.raw || q.cursor):
		return nil, errors.New("format=spool has every record and its place; leave out raw and cursor")
	case q.form == formSpool && q.coalesce > 0:
		return nil, errors.New("format=spool has every record; leave out coalesce")
	case q.format == nil && q.form != formSpool:
		return nil, fmt.Errorf("format=%q: want json, text or spool", q.form)
	}
	if q.after != nil && (!q.since.IsZero() || q.last >= 0) {
		return nil, errors.New("after says where to begin; leave out since and last")
	}
	if !q.until.IsZero() && !q.until.After(q.since) {
		return nil, errors.New("until is not later than since")
	}
	if several != nil {
		return q, q.selectAny(several, lists)
	}
	if q.weight, err = bound(lists); err != nil {
		return nil, err
	}
	q.match, err = compile(&selection)
	return q, err
}

// set reads one parameter that has one value.
func (q *query) set(key, value string, now time.Time) (err error) {
	switch key {
	case "after":
		var c spool.Cursor
		c, err = spool.ParseCursor(value)
		q.after = &c
	case "since":
		if q.since, err = units.ParseSince(value, now); err != nil {
			return fmt.Errorf("since %w", err)
		}
	case "until":
		if q.until, err = units.ParseTime(value, now); err != nil {
			return fmt.Errorf("until %w", err)
		}
	case "last":
		q.last, err = strconv.Atoi(value)
		if err != nil || q.last < 0 || q.last > maxLast {
			err = fmt.Errorf("want a number from 0 to %d", maxLast)
		}
	case "follow":
		q.follow, err = parseBool(value)
	case "raw":
		q.raw, err = parseBool(value)
	case "cursor":
		q.cursor, err = parseBool(value)
	case "coalesce":
		if q.coalesce, err = parseSpan(value); err != nil {
			return fmt.Errorf("coalesce %w", err)
		}
	case "format":
		q.form = value
	default:
		return fmt.Errorf("unknown parameter %q; there are after, since, until, last, follow, events, verdicts, ops, hooks, paths, not.events and so on, match, coalesce, format, raw and cursor", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%q: %w", key, value, err)
	}
	return nil
}

// formSpool is the name of the format of entries as they are.
const formSpool = "spool"

// formats returns the formats in which events are written.
func formats() map[string]format.Func {
	return map[string]format.Func{
		"json": format.AppendJSON,
		"text": format.AppendText,
	}
}

// lists returns the lists of values that a selection has, by the parameters
// that fill them.
func lists(s *match.Selection, prefix string) map[string]*[]string {
	all := map[string]*[]string{
		prefix + "events": &s.Events, prefix + "verdicts": &s.Verdicts, prefix + "ops": &s.Ops,
		prefix + "hooks": &s.Hooks, prefix + "paths": &s.Paths,
		prefix + "units": &s.Units, prefix + "users": &s.Users, prefix + "containers": &s.Containers,
	}
	if prefix == "" {
		s.Not = new(match.Selection)
		maps.Copy(all, lists(s.Not, "not."))
	}
	return all
}

// compile returns what s selects.
func compile(s *match.Selection) (*match.Matcher, error) {
	given := func(s *match.Selection) bool {
		return s.Events != nil || s.Verdicts != nil || s.Ops != nil || s.Hooks != nil || s.Paths != nil ||
			s.Units != nil || s.Users != nil || s.Containers != nil
	}
	if !given(s.Not) {
		s.Not = nil
	}
	if s.Not == nil && !given(s) {
		return nil, nil
	}
	m, err := match.Compile([]match.Selection{*s})
	var wrong *match.Error
	switch {
	case !errors.As(err, &wrong):
		return m, err
	case wrong.Value == "":
		return nil, fmt.Errorf("%s: %s", wrong.Key, wrong.Reason)
	}
	return nil, fmt.Errorf("%s=%q: %s", wrong.Key, wrong.Value, wrong.Reason)
}

// splitList splits at commas that no backslash stands before. Globs read the
// backslash themselves.
func splitList(s string) []string {
	var list []string
	begin := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			list = append(list, s[begin:i])
			begin = i + 1
		}
	}
	return append(list, s[begin:])
}

// parseSpan reads for how long repeated accesses are counted.
func parseSpan(s string) (time.Duration, error) {
	d, err := units.ParseDuration(s)
	if err == nil && d != 0 && (d < coalesce.Shortest || d > coalesce.Longest) {
		err = fmt.Errorf("%q is out of range; it must be between %s and %s, or 0s",
			s, units.FormatDuration(coalesce.Shortest), units.FormatDuration(coalesce.Longest))
	}
	return d, err
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("want true or false")
	}
	return b, nil
}
