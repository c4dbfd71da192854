package text

import (
	"strings"
	"testing"
	"time"
)

func TestQuoteIsFitForATerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a b":        `"a b"`,
		"\x1b[31m":   `"\x1b[31m"`,
		"\xff\u202e": `"\xff\u202e"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := Quote(strings.Repeat("é", 1000)); len(got) > 100 || !strings.HasSuffix(got, `"...`) {
		t.Errorf("a long one: got %d bytes", len(got))
	}
}

func TestDidYouMeanNamesWhatIsNear(t *testing.T) {
	t.Parallel()
	names := []string{"receive_buffer", "sync", "size"}
	for in, want := range map[string]string{
		"recieve_buffer": `; did you mean "receive_buffer"?`,
		"Receive-Buffer": `; did you mean "receive_buffer"?`,
		"siez":           `; did you mean "size"?`,
		"colour":         "; known here: receive_buffer, sync, size",
		"":               "; known here: receive_buffer, sync, size",
	} {
		if got := DidYouMean(in, names); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAppendQuotedLeavesTheOrdinaryAlone(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"/usr/bin/sh", "/usr/bin/sh"},
		{"/home/ü/日本", "/home/ü/日本"},
		{"", `""`},
		{"a b", `"a b"`},
		{`a"b`, `"a\"b"`},
		{`a\b`, `"a\\b"`},
		{"a\nb", `"a\nb"`},
		{"\u00a0", `"\u00a0"`},
		{"\U000e0001", `"\U000e0001"`},
		{"\x9b", `"\x9b"`},
	}
	for _, tt := range tests {
		if got := string(AppendQuoted(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestArgumentsAreSafeInAShell(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"/usr/bin/true":      "/usr/bin/true",
		"/my program":        "'/my program'",
		"/$(reboot)`x`;&|":   "'/$(reboot)`x`;&|'",
		"/$(reboot)`x`;\"&|": "'/$(reboot)`x`;\"&|'",
		"":                   "''",
		"/it's":              `$'/it\'s'`,
		"/a\\b":              `'/a\b'`,
		"/a\nb\x1b\xff":      `$'/a\x0ab\x1b\xff'`,
		"/\u00e4'$x":         `$'/\xc3\xa4\'$x'`,
	} {
		if got := Argument(name); got != want {
			t.Errorf("Argument(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestSpanHasTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "0s", 90 * time.Second: "1m30s", time.Hour: "1h", 7 * 24 * time.Hour: "7d", 25*time.Hour + time.Minute: "1d1h", 24*time.Hour + time.Minute: "1d", -time.Second: "0s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 events": Count(0, "event"), "1 access": Count(1, "access"), "2 accesses": Count(uint64(2), "access"),
		"3 kinds of accesses": Count(3, "kind of access", "kinds of accesses"),
		"once":                Times(1), "2 times": Times(2), "a, b and 3 more": List([]string{"a", "b", "c"}, 2, 5), "a": List([]string{"a"}, 2, 1),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestTimeIsRFC3339: what is read in a line can be given to --since.
func TestTimeIsRFC3339(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", -12600)
	for _, ms := range []int64{0, 1795440957123, -1} {
		got := Time(ms, zone)
		if back, err := time.Parse(time.RFC3339, got); err != nil || back.UnixMilli() != ms {
			t.Errorf("%d: %s reads as %v, %v", ms, got, back, err)
		}
	}
	if got, want := Time(1795440957123, time.UTC), "2026-11-23T13:35:57.123Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Time(253402300800000, time.UTC), "+10000-01-01T00:00:00.000Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPagesWrapAtBlanksAndCutOnlyWords(t *testing.T) {
	t.Parallel()
	p := Page{Width: 20}
	p.Line("in force: policy lab 1.0.0, enforcing")
	p.Line("%8d  DENIED EXECUTE /usr/bin/a-long-name", 7)
	p.Line("")
	p.Cut("2026-11-23T13:31:41.244Z DENIED", []byte("4f3a9c21d06b7e58:63"))
	want := "in force: policy lab\n    1.0.0, enforcing\n       7  DENIED\n          EXECUTE\n          /usr/bin/…\n\n2026-11-23T13:31:41…\n    DENIED 4f3a:63\n"
	if got := string(p.Bytes()); got != want || p.Lines() != 8 {
		t.Errorf("got %d lines\n%s\nwant\n%s", p.Lines(), got, want)
	}
	wide := Page{Width: 60}
	wide.Cut("2026-11-23T13:31:41.244Z DENIED     EXECUTE BPRM_CHECK /usr/bin/true", []byte("4f3a9c21d06b7e58:63"))
	if got, want := string(wide.Bytes()), "2026-11-23T13:31:41.244Z DENIED     EXECUTE BPRM_CH… 4f3a:63\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.Try(9, func() { p.Line("a"); p.Line("b") }) || p.Lines() != 8 || string(p.Bytes()) != want {
		t.Errorf("what there was no room for stayed: %s", p.Bytes())
	}
}
