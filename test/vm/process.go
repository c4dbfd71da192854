package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// Process is a program that runs in the guest, or ran.
type Process struct {
	// PID in the guest. It may be read after Start returned.
	PID int

	guest *Guest
	id    uint64
	done  chan struct{} // closed at the end
	begun chan struct{} // closed when PID is known, or there is none

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	more           chan struct{} // closed and replaced when there is more output
	exit           int
	err            error
}

var errNoProgram = errors.New("no program")

// Start starts a program. It returns when the program runs, or cannot.
func (g *Guest) Start(ctx context.Context, call *wire.Call) (*Process, error) {
	if len(call.Argv) == 0 {
		return nil, errNoProgram
	}
	p := &Process{guest: g, done: make(chan struct{}), begun: make(chan struct{}), more: make(chan struct{})}
	g.mu.Lock()
	if g.procs == nil {
		g.mu.Unlock()
		return nil, errors.New("the guest has gone")
	}
	g.last++
	p.id = g.last
	g.procs[p.id] = p
	c := *call
	c.ID = p.id
	err := json.NewEncoder(g.port).Encode(&c)
	g.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("write to the guest: %w", err)
	}
	select {
	case <-p.begun:
	case <-p.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("start %q: %w", c.Argv[0], ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.err
}

// Signal sends a signal to the program, if it still runs.
func (p *Process) Signal(number int) error {
	p.guest.mu.Lock()
	defer p.guest.mu.Unlock()
	return json.NewEncoder(p.guest.port).Encode(&wire.Call{ID: p.id, Signal: number})
}

// Wait waits for the end and returns the exit status.
func (p *Process) Wait(ctx context.Context) (exit int, err error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return -1, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit, p.err
}

// Line returns the first line of the output from the offset on, without its
// newline, and the offset of the next. It waits for it; at the end of the
// program it returns false.
func (p *Process) Line(ctx context.Context, offset int) (line []byte, next int, ok bool) {
	for {
		var ended bool
		select {
		case <-p.done: // there will be no more than there is now
			ended = true
		default:
		}
		p.mu.Lock()
		text := p.stdout.Bytes()[offset:]
		i := bytes.IndexByte(text, '\n')
		if i >= 0 {
			line = bytes.Clone(text[:i])
		}
		more := p.more
		p.mu.Unlock()
		if i >= 0 {
			return line, offset + i + 1, true
		}
		if ended {
			return nil, offset, false
		}
		select {
		case <-more:
		case <-p.done:
		case <-ctx.Done():
			return nil, offset, false
		}
	}
}

// Stdout returns what the program has printed so far.
func (p *Process) Stdout() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.stdout.Bytes())
}

// Stderr returns what the program has said on standard error so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// take applies a reply of init.
func (p *Process) take(r *wire.Reply) {
	if r.PID != 0 {
		p.PID = r.PID
		close(p.begun)
	}
	if len(r.Stdout) > 0 || len(r.Stderr) > 0 {
		p.mu.Lock()
		p.stdout.Write(r.Stdout)
		p.stderr.Write(r.Stderr)
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	switch {
	case r.Error != "":
		p.end(-1, errors.New(r.Error))
	case r.Exit != nil:
		p.end(*r.Exit, nil)
	}
}

func (p *Process) end(exit int, err error) {
	p.mu.Lock()
	p.exit, p.err = exit, err
	p.mu.Unlock()
	close(p.done)
}
