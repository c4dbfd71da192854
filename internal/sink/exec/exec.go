package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Mode says how the command gets events.
type Mode uint8

// The modes.
const (
	Stream Mode = iota // one process reads all of them
	Each               // one run for each of them
)

// String returns the mode as in the configuration.
func (m Mode) String() string {
	if m == Each {
		return "each"
	}
	return "stream"
}

// What [Options] that are zero mean in mode [Each].
const (
	DefaultTimeout      = 30 * time.Second
	DefaultMaxPerMinute = 30
)

// Options describe a command and how it is run.
type Options struct {
	// Command is the absolute path of the program and its arguments.
	Command []string

	Mode Mode

	// Timeout is how long a run may take in mode Each; 0 means
	// [DefaultTimeout]. In mode Stream it is how long the process may read
	// nothing while there is something to read; 0 means for ever.
	Timeout time.Duration

	// MaxPerMinute is how many runs may start in any minute, failed ones
	// included, in mode Each; 0 means [DefaultMaxPerMinute].
	MaxPerMinute int

	// Log gets what the command writes to its standard error: lines of at most
	// 1 KiB, without control bytes and without the newline, 60 a minute at
	// most. It is called from a goroutine of the sink. It may be nil.
	Log func(line string)
}

// Sink delivers to a command. It follows the contract of [sink.Sink].
type Sink struct {
	// Set at construction.
	command []string
	mode    Mode
	timeout time.Duration
	stderr  *lineLog

	// life is nil while closed. Close cancels it from any goroutine, which
	// makes whatever holds busy return soon.
	life atomic.Pointer[lifetime]

	// busy guards the rest. Each method holds it while it works.
	busy   sync.Mutex
	stream *stream // mode Stream, while open
	each   *each   // mode Each

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

// New returns a sink that runs the command that o describes. It does not look
// whether there is such a program: that may come later.
func New(o Options) (*Sink, error) {
	switch {
	case len(o.Command) == 0:
		return nil, errors.New("exec: no command")
	case !filepath.IsAbs(o.Command[0]):
		return nil, fmt.Errorf("exec: command %q is not an absolute path", o.Command[0])
	case o.Mode > Each:
		return nil, fmt.Errorf("exec: unknown mode %d", o.Mode)
	case o.Timeout < 0:
		return nil, fmt.Errorf("exec: negative timeout %v", o.Timeout)
	case o.MaxPerMinute < 0:
		return nil, fmt.Errorf("exec: negative number of runs a minute: %d", o.MaxPerMinute)
	}
	if o.Mode == Each && o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxPerMinute == 0 {
		o.MaxPerMinute = DefaultMaxPerMinute
	}
	s := &Sink{
		command: append([]string(nil), o.Command...),
		mode:    o.Mode,
		timeout: o.Timeout,
		stderr:  newLineLog(o.Log),
	}
	if s.mode == Each {
		s.each = newEach(s, o.MaxPerMinute)
	}
	return s, nil
}

// Open starts the process in mode Stream. In mode Each it starts nothing.
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

	if s.mode == Stream {
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
		if s.mode == Stream {
			return s.stream.write(ctx, life, e.Bytes)
		}
		return s.each.write(ctx, life, e)
	})
}

// Caused reports whether a run of the command caused the event, as far as that
// can be known: such an event gets no run in mode Each.
func (s *Sink) Caused(ev *ipe.Event) bool {
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.each != nil && s.each.own.match(ev)
}

// Flush waits until the process has read everything, or until the coalesced
// events had their run.
func (s *Sink) Flush(ctx context.Context) error {
	return s.work(ctx, func(life *lifetime) error {
		if s.mode == Stream {
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

// Close ends what runs. In mode Stream the process may finish what it has read,
// for two seconds; a run in mode Each is killed.
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
