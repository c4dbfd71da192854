package syslog

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1_795_440_000, 0)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// batch is a batch that was delivered at once.
func (h *history) batch(when time.Time, msgs ...string) {
	h.turn(when)
	for _, m := range msgs {
		h.addFrame([]byte(m))
	}
	h.delivered(when)
}

func (h *history) sent() string {
	u := h.unsent()
	return string(bytes.Join(u[:], nil))
}

func TestHistoryKeepsTheLastMoments(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.batch(at(29), "b")
	h.batch(at(31), "c")
	h.batch(at(40), "d")
	if got := h.sent(); got != "" {
		t.Errorf("on the same connection %q is to be sent, want nothing", got)
	}
	for _, tt := range []struct {
		end  int
		want string
	}{
		{41, "1 a1 b1 c1 d"},
		{58, "1 a1 b1 c1 d"}, // b is within 30 seconds
		{60, "1 c1 d"},
		{69, "1 c1 d"},
		{71, ""},
		{9999, ""},
	} {
		h := h
		h.broken(at(tt.end))
		if got := h.sent(); got != tt.want {
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
	h.broken(at(99))
	got := strings.Count(h.sent(), " ")
	if got < 30 || got > 61 {
		t.Errorf("%d seconds are kept, want 30 to 60", got)
	}
}

func TestHistoryKeepsUntilDelivered(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.turn(at(1))
	h.addFrame([]byte("b")) // not delivered
	h.broken(at(1))
	for i := range 5 { // attempts that fail, over minutes
		h.reset()
		h.turn(at(100 * i))
		h.addFrame([]byte("b"))
		if got, want := h.sent(), "1 a1 b"; got != want {
			t.Fatalf("attempt %d: %q is to be sent, want %q", i, got, want)
		}
		h.broken(at(100 * i))
	}
	h.reset()
	h.turn(at(500))
	h.addFrame([]byte("b"))
	h.delivered(at(500))
	if got := h.sent(); got != "" {
		t.Errorf("after delivery %q is to be sent, want nothing", got)
	}
	h.batch(at(510), "c")
	h.broken(at(511))
	if got, want := h.sent(), "1 a1 b1 c"; got != want {
		t.Errorf("%q is to be sent again, want %q", got, want)
	}
}

func TestHistoryDropsWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	var h history
	h.batch(at(0), "a")
	h.turn(at(1))
	h.addFrame([]byte("b"))
	h.reset()
	h.batch(at(2), "c")
	h.broken(at(3))
	if got, want := h.sent(), "1 a1 c"; got != want {
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
	if n := cap(h.old.frames) + cap(h.cur.frames); n > 4*generationBytes {
		t.Errorf("%d bytes are held, want at most %d", n, 4*generationBytes)
	}
	h.broken(at(1))
	if n := len(h.sent()); n < generationBytes {
		t.Errorf("%d bytes are kept, want at least %d", n, generationBytes)
	}
	for i := 2; i < 4; i++ {
		h.delivered(at(40 * i))
		h.batch(at(40*i+35), "x")
	}
	if n := cap(h.old.frames) + cap(h.cur.frames); n > generationBytes {
		t.Errorf("%d bytes are held when all is calm", n)
	}
}
