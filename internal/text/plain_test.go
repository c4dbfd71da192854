package text

import (
	"bytes"
	"testing"
)

func TestPlainPrefixEndsAtEachByteThatNeedsAnEscape(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for pos := range 20 {
			s := bytes.Repeat([]byte{'a'}, 20)
			s[pos] = byte(c)
			want := len(s)
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				want = pos
			}
			if got := PlainPrefix(s); got != want {
				t.Errorf("byte %#x at %d: got %d, want %d", c, pos, got, want)
			}
			for n := pos + 1; n <= len(s); n++ { // each length has its own loads
				if got := IsPlain(s[:n]); got != (want == len(s)) {
					t.Errorf("byte %#x at %d of %d: got %v", c, pos, n, got)
				}
			}
		}
	}
}
