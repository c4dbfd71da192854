package man

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestEventKeysAreThoseOfTheTable compares names, order, types and kinds of
// events. Behind each item stand its type and the kinds: "Number; access,
// repeated, when there is a file."
func TestEventKeysAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	lines := read(t, eventsPage)
	var names []string // of the item
	got := make(map[string]string)
	for _, l := range lines {
		switch {
		case l.section != "KEYS":
		case isItem(l) && len(words(l.text, "Va")) > 0:
			names = words(l.text, "Va")
		case len(names) > 0 && !strings.HasPrefix(l.text, "."):
			for _, name := range names {
				got[name] = described(l.text, len(names) > 1)
			}
			names = nil
		}
	}
	want := make(map[string]string)
	var order []string
	for _, k := range format.Keys() {
		order = append(order, k.Name)
		want[k.Name] = k.Type.String() + "; " + kindsOf(k.In)
	}
	if diff := cmp.Diff(order, marked(lines, "Va", itemsIn("KEYS"))); diff != "" {
		t.Errorf("keys (-program +page):\n%s", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types and events (-program +page):\n%s", diff)
	}
}

// described returns type and kinds of events as kindsOf writes them.
func described(text string, several bool) string {
	typ, rest, _ := strings.Cut(text, "; ")
	if several {
		typ = strings.TrimSuffix(typ, "s")
	}
	if strings.HasPrefix(rest, "all events from the kernel") {
		return typ + "; all events from the kernel"
	}
	if strings.HasPrefix(rest, "all events from a record, lost") {
		return typ + "; all events from a record, lost"
	}
	if strings.HasPrefix(rest, "all events from a record") {
		return typ + "; all events from a record"
	}
	if strings.HasPrefix(rest, "all events") {
		return typ + "; all events"
	}
	var kinds []string
	for word := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune(" ,;.", r) }) {
		if !slices.Contains(named(ipe.Kind(0)), word) {
			break
		}
		kinds = append(kinds, word)
	}
	return typ + "; " + strings.Join(sorted(kinds), ", ")
}

// kindsOf names the kinds of events in a set.
func kindsOf(set format.Kinds) string {
	var kinds, kernel, recorded, recordedOrLost []string
	for k := ipe.Kind(0); k.String() != ""; k++ {
		if k.FromKernel() {
			kernel = append(kernel, k.String())
		}
		if k.FromKernel() || k == ipe.KindAuditConfig {
			recorded = append(recorded, k.String())
		}
		if k.FromKernel() || k == ipe.KindAuditConfig || k == ipe.KindLost {
			recordedOrLost = append(recordedOrLost, k.String())
		}
		if set.Has(k) {
			kinds = append(kinds, k.String())
		}
	}
	switch {
	case len(kinds) == len(named(ipe.Kind(0))):
		return "all events"
	case slices.Equal(kinds, kernel):
		return "all events from the kernel"
	case slices.Equal(kinds, recorded):
		return "all events from a record"
	case slices.Equal(kinds, recordedOrLost):
		return "all events from a record, lost"
	}
	return strings.Join(sorted(kinds), ", ")
}

func TestValuesOfEventKeys(t *testing.T) {
	t.Parallel()
	lines := read(t, eventsPage)
	sameSet(t, "kinds of events", named(ipe.Kind(0)), marked(lines, "Cm", itemsIn("EVENTS")))
	sameSet(t, "dialects", named(ipe.DialectMainline), marked(lines, "Cm", itemsIn("DIALECTS")))

	values := valuesOf(lines, "Va")
	for key, want := range map[string][]string{
		"verdict":    named(ipe.VerdictDenied),
		"rule_kind":  named(ipe.RuleExplicit),
		"action":     named(ipe.ActionAllow),
		"accuracy":   named(ipe.AccuracyExact),
		"dialect":    named(ipe.DialectMainline),
		"what":       ipe.Whats(),
		"ipe_status": {host.StatusAbsent, host.StatusNoPolicy, host.StatusActive, host.StatusUnreadable},
	} {
		sameSet(t, "values of "+key, want, values[key])
	}
}

func TestStagesOfLosses(t *testing.T) {
	t.Parallel()
	want := []string{ipe.StageKernel, ipe.StageSocket, ipe.StageTruncated, ipe.StageSpool, ipe.StageDisk, ipe.StageMemory, ipe.StageSink}
	sameSet(t, eventsPage, want, marked(read(t, eventsPage), "Cm", itemsIn("LOSSES")))
	sameSet(t, designPage, want, marked(read(t, designPage), "Cm", itemsIn("WHAT CAN BE LOST")))
}

func TestMessageIDsOfTheJournal(t *testing.T) {
	t.Parallel()
	tables := literals(read(t, eventsPage), "OTHER FORMS", "Journal")
	if len(tables) != 1 {
		t.Fatalf("%d literal displays about the journal, want the table of MESSAGE_ID", len(tables))
	}
	got := make(map[string]string)
	for row := range strings.Lines(tables[0]) {
		kind, id, _ := strings.Cut(strings.TrimSpace(row), " ")
		got[kind] = strings.TrimSpace(id)
	}
	want := make(map[string]string)
	for k := ipe.Kind(0); k.String() != ""; k++ {
		want[k.String()] = format.MessageID(k)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("MESSAGE_ID (-program +page):\n%s", diff)
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	page := make(map[string]string) // by number
	number := ""
	for _, l := range read(t, eventsPage) {
		if l.subsection != "Severity" {
			continue
		}
		if f := strings.Fields(l.text); isItem(l) && len(f) > 1 {
			number = f[1]
		} else if number != "" {
			page[number] += l.text + ";"
		}
	}
	for _, tt := range []struct {
		ev   ipe.Event
		text string
	}{
		{ipe.Event{Kind: ipe.KindEnforcement, Enforcing: ipe.False}, "enforcement switched off"},
		{ipe.Event{Kind: ipe.KindEnforcement}, "the record does not say to what"},
		{ipe.Event{Kind: ipe.KindForged}, "forged"},
		{ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied}, "denied"},
		{ipe.Event{Kind: ipe.KindLost}, "lost"},
		{ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictWouldDeny}, "would_deny"},
		{ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictUnknown}, "unknown"},
		{ipe.Event{Kind: ipe.KindPolicyLoad, Res: ipe.False}, "a policy load that failed"},
		{ipe.Event{Kind: ipe.KindUnparsed}, "unparsed"},
		{ipe.Event{Kind: ipe.KindPolicyLoad, Res: ipe.True}, "policy loaded"},
		{ipe.Event{Kind: ipe.KindPolicyActivate}, "activated"},
		{ipe.Event{Kind: ipe.KindEnforcement, Enforcing: ipe.True}, "enforcement switched on"},
		{ipe.Event{Kind: ipe.KindStopped}, "stopped"},
		{ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictAllowed}, "allowed"},
		{ipe.Event{Kind: ipe.KindStarted}, "started"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatRuleAdded), New: []byte("exclude all of 1420")}, "every"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatAuditDisabled)}, "later changes of audit"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatRateLimit), New: []byte("100")}, "some records of IPE"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatAuditd), New: []byte("0")}, "audit_config: others"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatAuditDisabled), Res: ipe.False}, "the change was refused"},
		{ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatListener)}, "any other audit_config"},
	} {
		number := string(rune('0' + format.Severity(&tt.ev)))
		if !strings.Contains(page[number], tt.text) {
			t.Errorf("%q is of severity %s, where the page has %q", tt.text, number, page[number])
		}
	}
}

func TestExampleEventsAreRealOutput(t *testing.T) {
	t.Parallel()
	captures, err := filepath.Glob("../test/captures/*/*.nlcap")
	if err != nil || len(captures) == 0 {
		t.Fatalf("captures: %v, %v", captures, err)
	}
	real := make(map[string]bool)
	for _, name := range captures {
		for _, event := range decode(t, name) {
			real[event] = true
		}
	}
	examples := literals(read(t, eventsPage), "EXAMPLES", "")
	if len(examples) == 0 {
		t.Error("no examples")
	}
	for _, display := range examples {
		if event := strings.ReplaceAll(display, "\n", ""); !real[event] {
			t.Errorf("no capture decodes to %s", event)
		}
	}
}

// decode returns the events of a capture, without newlines.
func decode(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var (
		r       = input.NewReader(bufio.NewReader(f))
		record  input.Record
		decoder ipe.Decoder
		event   ipe.Event
		lines   []string
	)
	for {
		err := r.Next(&record)
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if decoder.Decode(&event, record.Type, record.Text) == ipe.ClassIPE {
			text := format.AppendJSON(nil, &event, new(format.Context))
			lines = append(lines, string(bytes.TrimSuffix(text, []byte("\n"))))
		}
	}
}
