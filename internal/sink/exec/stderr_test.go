package exec

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLineLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"in pieces", []string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		{"last one without a newline", []string{"a\nb"}, []string{"a", "b"}},
		{"empty", []string{"\n"}, []string{""}},
		{"control bytes", []string{"a\x1b[2Jb\r\x00\t\u009b\u202e\n"}, []string{`a\x1b[2Jb\r\x00\t\u009b\u202e`}},
		{"not UTF-8", []string{"a\xffb\n"}, []string{`a\xffb`}},
		{"quotes stay", []string{`"ä" \ 'x'` + "\n"}, []string{`"ä" \ 'x'`}},
		{"long", []string{strings.Repeat("x", 5000) + "\nb\n"}, []string{strings.Repeat("x", 1024) + " [...]", "b"}},
	} {
		var got []string
		l := newLineLog(func(s string) { got = append(got, s) })
		for _, w := range tt.writes {
			if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: Write: %d, %v", tt.name, n, err)
			}
		}
		l.end()
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLineLogIsLimitedAndSaysSo(t *testing.T) {
	t.Parallel()
	var got []string
	l := newLineLog(func(s string) { got = append(got, s) })
	l.limit.max = 2
	l.Write([]byte("1\n2\n3\n4\n"))
	l.limit.per = 0 // the minute is over
	l.Write([]byte("5\n"))
	l.limit.per = time.Hour
	l.Write([]byte("6\n7\n"))
	l.end()
	want := []string{"1", "2", "[2 lines left out]", "5", "[2 lines left out]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestLineLogNeedsNoCallback(t *testing.T) {
	t.Parallel()
	l := newLineLog(nil)
	l.Write([]byte("1\n2"))
	l.end()
}
