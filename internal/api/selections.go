package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/match"
)

// What several selections may come to, beside the bounds of the values in them.
const (
	maxSelections = 16
	maxNots       = 4 // one within the other
)

// selectAny reads the values of match: a selection each, or a list of them, in JSON
// with the keys that the configuration has. An event is sent if any of them matches.
// The lists are those that the other parameters have filled.
func (q *query) selectAny(values []string, others map[string]*[]string) error {
	for _, key := range slices.Sorted(maps.Keys(others)) {
		if *others[key] != nil {
			return fmt.Errorf("match says what is selected; leave out %s", key)
		}
	}
	var selections []match.Selection
	for _, v := range values {
		list, err := parseSelections(v)
		if err != nil {
			return fmt.Errorf("match=%q: %w", v, err)
		}
		selections = append(selections, list...)
	}
	if len(selections) > maxSelections {
		return fmt.Errorf("match has %d selections, at most %d are allowed", len(selections), maxSelections)
	}
	all := make(map[string]*[]string)
	for i := range selections {
		if err := gather(all, &selections[i], 0); err != nil {
			return err
		}
	}
	var err error
	if q.weight, err = bound(all); err != nil {
		return err
	}
	q.match, err = match.Compile(selections)
	return err
}

// parseSelections reads one selection or a list of them.
func parseSelections(text string) (list []match.Selection, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		err = d.Decode(&list)
	} else {
		list = make([]match.Selection, 1)
		err = d.Decode(&list[0])
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &kind):
		return nil, errors.New(`want selections in JSON, such as [{"verdicts":["denied"]},{"events":["lost"]}]`)
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	case len(list) == 0:
		return nil, errors.New("an empty list selects nothing; leave it out to select everything")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the selections")
	}
	return list, nil
}

// gather adds the values of a selection to those of others, by their keys, for the
// bounds that hold for all of them together.
func gather(all map[string]*[]string, s *match.Selection, nots int) error {
	if nots > maxNots {
		return fmt.Errorf("match has more than %d not, one within the other", maxNots)
	}
	prefix, own := "", *s
	if nots > 0 {
		prefix = "not."
	}
	for key, list := range lists(&own, prefix) {
		if all[key] == nil {
			all[key] = new([]string)
		}
		*all[key] = append(*all[key], *list...)
	}
	if s.Not == nil {
		return nil
	}
	return gather(all, s.Not, nots+1)
}
