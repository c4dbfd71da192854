package text

import (
	"strings"
	"testing"
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
