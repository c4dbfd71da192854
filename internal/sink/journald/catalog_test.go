package journald

import (
	"bufio"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald/journaltest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const catalog = "../../../deploy/systemd/ipe-auditd.catalog"

// kinds returns all kinds of events.
func kinds() (all []ipe.Kind) {
	for k := ipe.Kind(0); k.String() != ""; k++ {
		all = append(all, k)
	}
	return all
}

// readCatalog returns the texts of the catalog by their MESSAGE_ID, with the
// header fields before each.
func readCatalog(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	texts := map[string]string{}
	id := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if next, ok := strings.CutPrefix(line, "-- "); ok {
			if _, again := texts[next]; again {
				t.Errorf("%s is explained twice", next)
			}
			id = next
		}
		if id != "" && !strings.HasPrefix(line, "#") {
			texts[id] += line + "\n"
		}
	}
	return texts
}

func TestCatalogExplainsEveryKind(t *testing.T) {
	t.Parallel()
	texts := readCatalog(t)
	for _, k := range kinds() {
		text := texts[format.MessageID(k)]
		for _, want := range []string{"\nSubject: ", "\nDefined-By: ipe-auditd\n", "\nSupport: ", "\nDocumentation: man:ipe-auditd(8)\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s (%s): %q is lacking", k, format.MessageID(k), want)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 78 { // with the newline; journalctl puts three before it
				t.Errorf("longer than a terminal is wide: %s", line)
			}
		}
		delete(texts, format.MessageID(k))
	}
	for id := range texts {
		t.Errorf("%s is explained, but no kind of event has it", id)
	}
}

// journalctl writes the values of fields to the terminal as they are, so none
// may be chosen by others.
func TestCatalogShowsOnlyOurOwnValues(t *testing.T) {
	t.Parallel()
	ours := map[string]bool{"IPE_VERDICT": true, "IPE_PID": true, "IPE_ENFORCING": true, "IPE_STAGE": true}
	for id, text := range readCatalog(t) {
		for _, m := range regexp.MustCompile(`@([^@\s]*)@`).FindAllStringSubmatch(text, -1) {
			if !ours[m[1]] {
				t.Errorf("%s: field %s is chosen by others", id, m[1])
			}
		}
	}
}

func TestJournalctlExplainsEvents(t *testing.T) {
	j := journaltest.Start(t, journaltest.WithCatalog(catalog))
	s := open(t, j.Socket())
	const escape = "\x1b]0;owned\a\n-- MARK --"
	for _, k := range kinds() {
		ev := &ipe.Event{
			Kind: k, Verdict: ipe.VerdictDenied, Has: ipe.HasPID | ipe.HasStamp, PID: 4711, Time: 1_795_440_938_497,
			Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Path: []byte("/tmp/" + escape), Comm: []byte(escape),
			Rule: []byte("DEFAULT action=DENY"), Enforcing: ipe.False, Stage: []byte("kernel"), Raw: []byte(escape),
			Policy: ipe.Policy{Name: []byte(escape)},
		}
		e := &sink.Entry{Event: ev, Bytes: format.AppendJournal(nil, ev, &format.Context{})}
		if err := s.Write(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	entries := j.Entries(t, "SYSLOG_IDENTIFIER=ipe-auditd")
	if len(entries) != len(kinds()) {
		t.Fatalf("got %d entries, want %d", len(entries), len(kinds()))
	}
	for i, k := range kinds() {
		e := entries[i]
		if e.Get("IPE_EVENT") != k.String() || e.Get("MESSAGE_ID") != format.MessageID(k) {
			t.Errorf("entry %d is %s with id %s, want %s with %s", i, e.Get("IPE_EVENT"), e.Get("MESSAGE_ID"), k, format.MessageID(k))
		}
		path := ""
		if k == ipe.KindAccess || k == ipe.KindRepeated {
			path = "/tmp/" + escape
		}
		if diff := cmp.Diff(path, e.Get("IPE_PATH")); diff != "" {
			t.Errorf("%s: path (-want +got):\n%s", k, diff)
		}
	}

	for match, want := range map[string]string{
		"IPE_EVENT=access":      "Subject: IPE judged an access: denied",
		"IPE_EVENT=enforcement": "Subject: IPE enforcement was switched: enforcing is now false",
		"IPE_EVENT=lost":        "Subject: Records of IPE were lost at: kernel",
	} {
		out := string(j.Journalctl(t, "-x", match))
		if !strings.Contains(out, want) {
			t.Errorf("journalctl -x %s lacks %q:\n%q", match, want, out)
		}
	}
	all := string(j.Journalctl(t, "-x", "SYSLOG_IDENTIFIER=ipe-auditd"))
	if n := strings.Count(all, "░░ Defined-By: ipe-auditd"); n != len(kinds()) {
		t.Errorf("journalctl -x explains %d entries, want %d:\n%s", n, len(kinds()), all)
	}
	if strings.ContainsAny(all, "\x1b\a") {
		t.Errorf("journalctl -x writes control bytes that others chose:\n%q", all)
	}
}
