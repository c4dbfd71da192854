package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// What a zero in a [Config] means in [ModeEach].
const (
	DefaultTimeout      = 30 * time.Second
	DefaultMaxPerMinute = 30
)

// Sink delivers to a command. It follows the contract of [sink.Sink].
type Sink struct {
	// Set at construction.
	command []string
	mode    string
	timeout time.Duration
	grace   time.Duration // how long a process may take to finish at the end of its input
	stderr  *lineLog

	// life is nil while closed. Close cancels it from any goroutine, which
	// makes whatever holds busy return soon.
	life atomic.Pointer[lifetime]

	// busy guards the rest. Each method holds it while it works.
	busy   sync.Mutex
	stream *stream // [ModeStream], while open
	each   *each   // [ModeEach]

	stats counters
}

type lifetime struct {
	context.Context
	cancel context.CancelFunc
}

var (
	_ sink.Sink     = (*Sink)(nil)
	_ sink.Causer   = (*Sink)(nil)
	_ sink.Counting = (*Sink)(nil)
)

// New returns a sink that runs the command that c describes. It does not look
// whether there is such a program: that may come later.
func New(c *Config) (*Sink, error) {
	switch {
	case len(c.Command) == 0:
		return nil, errors.New("exec: no command")
	case !filepath.IsAbs(c.Command[0]):
		return nil, fmt.Errorf("exec: command %q is not an absolute path", c.Command[0])
	case c.Mode != "" && c.Mode != ModeStream && c.Mode != ModeEach:
		return nil, fmt.Errorf("exec: unknown mode %q", c.Mode)
	case c.Timeout < 0:
		return nil, fmt.Errorf("exec: negative timeout %v", c.Timeout)
	case c.MaxPerMinute < 0:
		return nil, fmt.Errorf("exec: negative number of runs a minute: %d", c.MaxPerMinute)
	}
	s := &Sink{
		command: slices.Clone(c.Command),
		mode:    cmp.Or(c.Mode, ModeStream),
		timeout: c.Timeout,
		grace:   defaultGrace,
		stderr:  newLineLog(nil),
	}
	if s.mode == ModeEach {
		s.timeout = cmp.Or(c.Timeout, DefaultTimeout)
		s.each = newEach(s, cmp.Or(c.MaxPerMinute, DefaultMaxPerMinute))
	}
	return s, nil
}

// Open starts the process in [ModeStream]. In [ModeEach] it starts nothing.
func (s *Sink) Open(ctx context.Context) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.life.Load() != nil {
		return fmt.Errorf("open command %q: it is open", s.command[0])
	}
	// Ours are all close-on-exec. What the daemon was started with may not be,
	// and is not the command's business either. Before Linux 5.11 there is no
	// such flag; then this rests on those who gave us descriptors.
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)

	if s.mode == ModeStream {
		var err error
		if s.stream, err = newStream(s); err != nil {
			return err
		}
	} else {
		s.each.rewind()
	}
	c, cancel := context.WithCancel(context.Background())
	s.life.Store(&lifetime{c, cancel})
	return nil
}

// Write gives e to the process, or runs the command for it unless it is to be
// coalesced.
func (s *Sink) Write(ctx context.Context, e *sink.Entry) error {
	return s.work(ctx, func(life *lifetime) error {
		if s.mode == ModeStream {
			return s.stream.write(ctx, life, e.Bytes)
		}
		return s.each.write(ctx, life, e)
	})
}

// Caused reports whether a run of the command caused the event, as far as that
// can be known: such an event gets no run in [ModeEach].
func (s *Sink) Caused(ev *ipe.Event) bool {
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.each != nil && s.each.own.match(ev)
}

// Flush waits until the process has read everything, or until the coalesced
// events had their run.
func (s *Sink) Flush(ctx context.Context) error {
	return s.work(ctx, func(life *lifetime) error {
		if s.mode == ModeStream {
			return s.stream.flush(ctx, life)
		}
		return s.each.flush(ctx, life)
	})
}

// work calls f while the sink is open.
func (s *Sink) work(ctx context.Context, f func(*lifetime) error) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	life := s.life.Load()
	if life == nil || life.Err() != nil {
		return fmt.Errorf("command %q: %w", s.command[0], os.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f(life); err != nil {
		return fmt.Errorf("command %q: %w", s.command[0], err)
	}
	return nil
}

// Close ends what runs. In [ModeStream] the process may finish what it has read,
// for two seconds; a run in [ModeEach] is killed.
func (s *Sink) Close() error {
	life := s.life.Load()
	if life == nil {
		return nil
	}
	life.cancel()
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.life.CompareAndSwap(life, nil) && s.stream != nil {
		s.stream.stop()
		s.stream = nil
	}
	return nil
}
