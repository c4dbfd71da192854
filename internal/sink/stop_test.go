package sink

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

func TestStopDelivers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		sink *memory
	}{
		{"to an idle sink", &memory{}},
		{"to a slow sink", &memory{onWrite: func(context.Context, []byte) error { time.Sleep(time.Second); return nil }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLog(20)
				r := New(config(l, tt.sink))
				wait := start(t.Context(), r)
				synctest.Wait()
				l.append(20)
				if err := r.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				wait()
				if got := tt.sink.got(); !slices.Equal(got, numbers(1, 40)) {
					t.Errorf("got %q, want 1 to 40", got)
				}
			})
		})
	}
}

// A sink that failed a while ago gets another try at once, and then more.
func TestStopTriesAFailingSinkAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		m := &memory{onFlush: func(context.Context) error {
			if broken.Load() {
				return errFake
			}
			return nil
		}}
		r := New(config(newLog(20), m))
		wait := start(t.Context(), r)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		broken.Store(false)
		began := time.Now()
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v, want no time", d)
		}
		wait()
		if got := m.got(); !slices.Equal(got, numbers(1, 20)) {
			t.Errorf("got %q, want 1 to 20", got)
		}
	})
}

func TestStopGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	const deadline = 10 * time.Second
	tests := []struct {
		name string
		sink *memory
		want error
		took time.Duration
	}{
		{"failing", &memory{onOpen: func(context.Context) error { return errFake }}, ErrUndelivered, deadline},
		{"slow: the batch is finished", &memory{onWrite: func(context.Context, []byte) error { time.Sleep(900 * time.Millisecond); return nil }},
			ErrUndelivered, deadline + 800*time.Millisecond},
		{"hanging", &memory{onWrite: func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }},
			context.Canceled, deadline + stopGrace},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := New(config(newLog(100), tt.sink))
				wait := start(t.Context(), r)
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				if err := r.Stop(ctx); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if d := time.Since(began); d != tt.took {
					t.Errorf("took %v, want %v", d, tt.took)
				}
				wait()
				if n := uint64(len(tt.sink.got())); n != r.Status().Cursor.Seq {
					t.Errorf("flushed %d entries, but the cursor is at %d", n, r.Status().Cursor.Seq)
				}
			})
		})
	}
}

// A call that ignores its context ends with Close.
func TestCancelClosesTheSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{})
		m := &memory{}
		m.onWrite = func(context.Context, []byte) error { <-closed; return errFake }
		m.onClose = func() error {
			select {
			case <-closed:
			default:
				close(closed)
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait := start(ctx, New(config(newLog(1), m)))
		synctest.Wait()
		cancel()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func TestStopDoesNotWaitForASinkThatNeverReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := &memory{onWrite: func(context.Context, []byte) error { <-release; return errFake }}
		r := New(config(newLog(1), m))
		wait := start(t.Context(), r)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Stop(ctx); err == nil || !strings.Contains(err.Error(), `sink "test": does not return`) {
			t.Errorf("got %v, want an error that names the sink", err)
		}
		close(release)
		wait()
	})
}

// late is a source to which an entry comes at the moment the wait for it ends.
type late struct{ *source }

func (s late) Next(ctx context.Context) (*spool.Entry, error) {
	<-ctx.Done()
	s.log.append(1)
	return nil, ctx.Err()
}

func TestStopDeliversWhatComesAtTheSameMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m := newLog(5), &memory{}
		c := config(l, m)
		c.Source = late{c.Source.(*source)}
		r := New(c)
		wait := start(t.Context(), r)
		synctest.Wait()
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		wait()
		if got := m.got(); !slices.Equal(got, numbers(1, 6)) {
			t.Errorf("got %q, want 1 to 6", got)
		}
	})
}

// slowToClose is a sink that nothing but Close unblocks, which takes its time: a
// command that may finish, for example.
type slowToClose struct {
	closing time.Duration
	closed  chan struct{}
	once    sync.Once
}

func (s *slowToClose) Open(context.Context) error { <-s.closed; return os.ErrClosed }

func (s *slowToClose) Write(context.Context, *Entry) error { return nil }

func (s *slowToClose) Flush(context.Context) error { return nil }

func (s *slowToClose) Close() error {
	s.once.Do(func() { time.Sleep(s.closing); close(s.closed) })
	return nil
}

// A sink that is cancelled gets as long as a command may take to finish: what that
// has started would outlive the daemon otherwise.
func TestStopWaitsForASinkThatCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slowToClose{closing: 2100 * time.Millisecond, closed: make(chan struct{})}
		r := New(Config{Name: "a", Sink: s, Source: &idleSource{}, Format: format.AppendJSON})
		go r.Run(context.Background())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := r.Stop(ctx); err != nil && strings.Contains(err.Error(), "does not return") {
			t.Errorf("got %v, want Stop to wait for Close", err)
		}
		select {
		case <-s.closed:
		default:
			t.Error("Stop returned before the sink was closed")
		}
	})
}

type idleSource struct{}

func (*idleSource) Next(ctx context.Context) (*spool.Entry, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (*idleSource) TryNext() (*spool.Entry, bool, error) { return nil, false, nil }

func (*idleSource) Rewind(spool.Cursor) {}
