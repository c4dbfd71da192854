package syslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// fussy is a receiver that ends a connection when it does not like a message.
type fussy struct {
	listener net.Listener
	dislikes func(seq int, msg string) bool
	lifetime func() time.Duration // of a connection; nil: for ever
	wg       sync.WaitGroup

	mu    sync.Mutex
	taken map[int]string // the last message of each seq
	conns int
}

func newFussy(t *testing.T, dislikes func(seq int, msg string) bool, lifetime func() time.Duration) *fussy {
	f := &fussy{listener: listen(t), dislikes: dislikes, lifetime: lifetime, taken: make(map[int]string)}
	f.wg.Go(func() {
		for {
			c, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		f.listener.Close()
		f.wg.Wait()
	})
	return f
}

var seqPattern = regexp.MustCompile(` seq="(\d+)"`)

func (f *fussy) serve(c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	f.conns++
	f.mu.Unlock()
	if f.lifetime != nil {
		defer time.AfterFunc(f.lifetime(), func() { c.Close() }).Stop()
	}
	b := bufio.NewReader(c)
	for {
		length, err := b.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil {
			return
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(b, msg); err != nil {
			return
		}
		seq, _ := strconv.Atoi(string(seqPattern.FindSubmatch(msg)[1]))
		if f.dislikes(seq, string(msg)) {
			return
		}
		f.mu.Lock()
		f.taken[seq] = string(msg)
		f.mu.Unlock()
	}
}

func (f *fussy) seqs() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []int
	for seq := range f.taken {
		list = append(list, seq)
	}
	slices.Sort(list)
	return list
}

// feed runs a sink as the daemon builds it behind the runner until the source has
// ended, and returns its status and what was given up. long says of which events the message has 20,000
// octets.
func feed(t *testing.T, f *fussy, source *records, long func(seq int) bool) (sink.Status, []sink.Refused) {
	t.Helper()
	var mu sync.Mutex
	var lost []sink.Refused
	config := Config{Facility: "authpriv", SDID: "ipe@32473", RFC: 5424, Network: TCP, Target: f.listener.Addr().String()}
	built, err := config.Build(&sink.Environment{Name: "siem", Warn: func(string, error) {}, Refused: func(g sink.Refused) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, g)
	}})
	check(t, err)
	s := built.Sink.(*Sink)
	s.settle, s.acks.while = 50*time.Millisecond, 50*time.Millisecond
	run := sink.New(sink.Config{Name: "siem", Sink: s, Source: source, Pause: 10 * time.Millisecond,
		Format: func(dst []byte, ev *ipe.Event, c *format.Context) []byte {
			if long(int(c.Seq)) {
				ev.Path = []byte("/tmp/" + strings.Repeat("x", 10_000))
			}
			return built.Format(dst, ev, c)
		}})
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := run.Run(ctx); err != nil {
		t.Fatalf("%v: %+v, taken %v, given up %v, bisection %+v", err, run.Status(), f.seqs(), lost, s.bisection)
	}
	return run.Status(), lost
}

func numbers(first, last int, without ...int) (list []int) {
	for i := first; i <= last; i++ {
		if !slices.Contains(without, i) {
			list = append(list, i)
		}
	}
	return list
}

func never(int) bool { return false }

// One message that makes the receiver end every connection is given up, and told;
// all others arrive, and what is said to be delivered is.
func TestMessageThatEndsEveryConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, poison := range []int{1, 4, 7} {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprint(poison, " together ", together), func(t *testing.T) {
				t.Parallel()
				f := newFussy(t, func(seq int, _ string) bool { return seq == poison }, nil)
				source := &records{total: 7, limit: 7}
				if !together {
					source.limit = 1
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					go func() { // one by one, on a connection that has lasted
						for i := 2; i <= 7 && ctx.Err() == nil; i++ {
							time.Sleep(120 * time.Millisecond)
							source.allow(i)
						}
					}()
				}
				st, lost := feed(t, f, source, never)
				if diff := cmp.Diff([]sink.Refused{{Kind: ipe.KindAccess, Cursor: spool.Cursor{ID: 7, Seq: uint64(poison)}, Reason: "it ends every connection on which it is sent"}}, lost); diff != "" {
					t.Errorf("given up, -want +got:\n%s", diff)
				}
				if diff := cmp.Diff(numbers(1, 7, poison), f.seqs()); diff != "" {
					t.Errorf("taken, -want +got:\n%s", diff)
				}
				if st.Delivered != 6 {
					t.Errorf("%d are said to be delivered, want 6", st.Delivered)
				}
			})
		}
	}
}

// One in thousands is found soon.
func TestRefusedMessageIsFoundAmongMany(t *testing.T) {
	t.Parallel()
	const total = 3000
	f := newFussy(t, func(seq int, _ string) bool { return seq == 1234 }, nil)
	st, lost := feed(t, f, &records{total: total, limit: total}, never)
	if len(lost) != 1 || lost[0].Cursor.Seq != 1234 {
		t.Errorf("given up: %v, want only 1234", lost)
	}
	if diff := cmp.Diff(numbers(1, total, 1234), f.seqs()); diff != "" {
		t.Errorf("taken, -want +got:\n%s", diff)
	}
	if st.Delivered != total-1 {
		t.Errorf("%d are said to be delivered, want %d", st.Delivered, total-1)
	}
}

// What is only too long is shortened until it is taken, and nothing is lost.
func TestMessageThatIsTooLongForTheReceiverIsShortened(t *testing.T) {
	t.Parallel()
	const most = 5000
	f := newFussy(t, func(_ int, msg string) bool { return len(msg) > most }, nil)
	st, lost := feed(t, f, &records{total: 9, limit: 9}, func(seq int) bool { return seq%3 == 0 })
	if len(lost) != 0 {
		t.Errorf("given up: %v", lost)
	}
	if diff := cmp.Diff(numbers(1, 9), f.seqs()); diff != "" {
		t.Errorf("taken, -want +got:\n%s", diff)
	}
	for seq, msg := range f.taken {
		if strings.Contains(msg, ` shortened="`) != (seq%3 == 0) {
			t.Errorf("message %d: %.200s", seq, msg)
		}
	}
	if st.Delivered != 9 {
		t.Errorf("%d are said to be delivered, want 9", st.Delivered)
	}
}

// So it is where every message is too long, and nothing is known that is taken.
func TestMessagesThatAreAllTooLongAreShortened(t *testing.T) {
	t.Parallel()
	for _, total := range []int{1, 2, 9} {
		for _, most := range []int{LeastMessage, 5000} {
			t.Run(fmt.Sprint(total, " of at most ", most), func(t *testing.T) {
				t.Parallel()
				f := newFussy(t, func(_ int, msg string) bool { return len(msg) > most }, nil)
				st, lost := feed(t, f, &records{total: total, limit: total}, func(int) bool { return true })
				if len(lost) != 0 {
					t.Errorf("given up: %v", lost)
				}
				if diff := cmp.Diff(numbers(1, total), f.seqs()); diff != "" {
					t.Errorf("taken, -want +got:\n%s", diff)
				}
				if st.Delivered != uint64(total) {
					t.Errorf("%d are said to be delivered, want %d", st.Delivered, total)
				}
			})
		}
	}
}

// Connections that end for other reasons cost no message.
func TestRestlessReceiverLosesNothing(t *testing.T) {
	t.Parallel()
	likes := func(int, string) bool { return false }
	var mu sync.Mutex
	begin, any := time.Now(), 0
	for name, f := range map[string]*fussy{
		"ends connections at random":     newFussy(t, likes, func() time.Duration { return rand.N(300 * time.Millisecond) }),
		"ends connections by the clock":  newFussy(t, likes, func() time.Duration { return 130 * time.Millisecond }),
		"ends connections with any data": newFussy(t, func(int, string) bool { return time.Since(begin) < time.Second }, nil),
		"ends half of them": newFussy(t, func(int, string) bool {
			mu.Lock()
			defer mu.Unlock()
			any++
			return any < 60 && rand.N(2) == 0
		}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, lost := feed(t, f, &records{total: 20, limit: 20}, func(seq int) bool { return seq%5 == 0 })
			if len(lost) != 0 {
				t.Errorf("given up: %v", lost)
			}
			if diff := cmp.Diff(numbers(1, 20), f.seqs()); diff != "" {
				t.Errorf("taken, -want +got:\n%s", diff)
			}
		})
	}
}
