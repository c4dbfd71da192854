package syslog

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_795_440_000, 0)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// batch is a batch that was delivered at once.
func (h *history) batch(when time.Time, msgs ...string) {
	h.trim(when)
	for _, m := range msgs {
		h.write(m)
	}
	h.delivered(h.unsent(), when)
}

// write adds without a look at the clock.
func (h *history) write(msg string) {
	h.frames = h.frame(h.frames, []byte(msg))
	h.marks = append(h.marks, mark{end: len(h.frames), size: len(msg)})
}

// copied returns a history of its own.
func (h *history) copied() *history {
	c := *h
	c.frames, c.marks = slices.Clone(h.frames), slices.Clone(h.marks)
	return &c
}

func (h *history) text() string {
	return string(h.between(h.next, len(h.marks)))
}

func TestHistoryKeepsTheLastMoments(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.batch(at(29), "b")
	h.batch(at(31), "c")
	h.batch(at(40), "d")
	if got := h.text(); got != "" {
		t.Errorf("on the same connection %q is to be sent, want nothing", got)
	}
	for _, tt := range []struct {
		end  int
		want string
	}{
		{40, "1 b1 c1 d"},
		{58, "1 b1 c1 d"}, // b is within 30 seconds
		{60, "1 c1 d"},
		{69, "1 d"},
		{71, ""},
		{9999, ""},
	} {
		h := h.copied()
		h.broken(at(tt.end), false)
		if got := h.text(); got != tt.want {
			t.Errorf("ended at %d: %q is to be sent again, want %q", tt.end, got, tt.want)
		}
	}
}

func TestHistoryForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	var h history
	for i := range 100 {
		h.batch(at(i), string(rune('!'+i)))
	}
	if n := len(h.marks); n < 30 || n > 62 {
		t.Errorf("%d seconds are kept, want 30 to 60", n)
	}
	h.broken(at(99), false)
	if got := strings.Count(h.text(), " "); got != 31 {
		t.Errorf("%d seconds are to be sent again, want 30", got)
	}
}

func TestHistoryKeepsUntilDelivered(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.trim(at(1))
	h.write("b") // not delivered
	h.broken(at(1), false)
	for i := range 5 { // attempts that fail, over minutes
		h.reset()
		h.trim(at(100 * i))
		h.write("b")
		if got, want := h.text(), "1 a1 b"; got != want {
			t.Fatalf("attempt %d: %q is to be sent, want %q", i, got, want)
		}
		h.broken(at(100*i), false)
	}
	h.reset()
	h.trim(at(500))
	h.write("b")
	h.delivered(h.unsent(), at(500))
	if got := h.text(); got != "" {
		t.Errorf("after delivery %q is to be sent, want nothing", got)
	}
	h.batch(at(510), "c")
	h.broken(at(511), false)
	if got, want := h.text(), "1 a1 b1 c"; got != want {
		t.Errorf("%q is to be sent again, want %q", got, want)
	}
}

func TestHistoryDropsWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.trim(at(1))
	h.write("b")
	h.reset()
	h.batch(at(2), "c")
	h.broken(at(3), false)
	if got, want := h.text(), "1 a1 c"; got != want {
		t.Errorf("%q is to be sent again, want %q", got, want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	var h history
	msg := strings.Repeat("x", 100_000)
	for range 1000 { // 100 MB in one second
		h.batch(at(0), msg)
	}
	if n := cap(h.frames); n > 4*historyBytes {
		t.Errorf("%d bytes are held, want at most %d", n, 4*historyBytes)
	}
	h = *h.copied()
	h.broken(at(1), false)
	if n := len(h.text()); n < historyBytes {
		t.Errorf("%d bytes are kept, want at least %d", n, historyBytes)
	}
	for i := 2; i < 4; i++ {
		h.delivered(h.unsent(), at(40*i))
		h.batch(at(40*i+35), "x")
	}
	if n := cap(h.frames); n > historyBytes {
		t.Errorf("%d bytes are held when all is calm", n)
	}
}
