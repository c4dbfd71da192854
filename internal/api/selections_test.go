package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

func TestSeveralSelectionsInOneRequest(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 20))
	w.spool.Append([]spool.Record{switched()})
	for query, want := range map[string][]string{
		`match=[{"paths":["/tmp/3"]},{"events":["enforcement"]}]`:                              append(numbered(3, 3), "enforcement"),
		`match={"paths":["/tmp/3"]}&match={"paths":["/tmp/4","/tmp/5"]}`:                       numbered(3, 5),
		`match={"not":{"paths":["/tmp/?"]},"events":["access"]}`:                               numbered(10, 20),
		`match={"verdicts":["denied"],"not":{"paths":["/tmp/**"],"not":{"paths":["/tmp/7"]}}}`: numbered(7, 7),
		`last=1&match=[{"paths":["/tmp/3"]},{"paths":["/tmp/4"]}]`:                             numbered(4, 4),
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, paths(t, w.events(values.Encode()))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestWrongSelectionsAreRefusedInOneLine(t *testing.T) {
	t.Parallel()
	w := start(t)
	deep := strings.Repeat(`{"not":`, 20) + `{"events":["lost"]}` + strings.Repeat("}", 20)
	for value, want := range map[string]string{
		"":                      "want selections in JSON",
		"{":                     "want selections in JSON",
		"verdicts":              "want selections in JSON",
		`{"verdicts":"denied"}`: "want selections in JSON",
		`[]`:                    "selects nothing",
		`{}`:                    "has none of the keys",
		`[{"events":["lost"]},{"verdicts":["denid"]}]`: `match 2: verdicts: "denid": unknown; did you mean "denied"?`,
		`{"verdict":["denied"]}`:                       `unknown field "verdict"`,
		`{"events":["lost"]} x`:                        "more behind",
		deep:                                           "one within the other",
		"[" + strings.Repeat(`{"events":["lost"]},`, 20) + `{"events":["lost"]}]`: "at most 16",
		fmt.Sprintf(`{"paths":[%s"/x"]}`, strings.Repeat(`"/x",`, maxGlobs)):      "at most 32",
	} {
		code, text := w.page(http.MethodGet, "/events?match="+url.QueryEscape(value))
		if code != 400 || !strings.Contains(text, want) || strings.Count(text, "\n") > 1 {
			t.Errorf("%.40s: %d %q, want 400 %q", value, code, text, want)
		}
	}
	if code, text := w.page(http.MethodGet, "/events?events=lost&match="+url.QueryEscape(`{"events":["lost"]}`)); code != 400 || !strings.Contains(text, "leave out events") {
		t.Errorf("both: %d %q", code, text)
	}
}
