package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// How often progress is shown, and for how long work is too short to show it.
const (
	progressPause = 250 * time.Millisecond
	progressDelay = time.Second
)

// progress shows on a terminal how far the reading of files is: bytes, share, rate
// and time left. Its line ends with a carriage return, so that whatever is written
// next takes its place. The nil progress shows nothing.
//
// The usual libraries (schollz/progressbar, cheggaaa/pb, vbauerster/mpb) draw bars,
// and bring three to six modules for one line of numbers.
type progress struct {
	out   io.Writer
	total int64 // bytes; 0: not known
	begun time.Time

	read  atomic.Int64
	once  sync.Once
	done  chan struct{}
	ended chan struct{}
}

// newProgress begins to show progress on out.
func newProgress(out io.Writer, total int64) *progress {
	p := &progress{out: out, total: total, begun: time.Now(), done: make(chan struct{}), ended: make(chan struct{})}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	const clear = "\x1b[K"
	wait, shown := progressDelay, false
	for {
		select {
		case <-time.After(wait):
			fmt.Fprintf(p.out, clear+"%s\r", p.line(time.Now()))
			wait, shown = progressPause, true
		case <-p.done:
			if shown {
				_, _ = io.WriteString(p.out, clear)
			}
			return
		}
	}
}

// add counts bytes that were read.
func (p *progress) add(n int) {
	if p != nil {
		p.read.Add(int64(n))
	}
}

// end takes the line away. It may be called more than once.
func (p *progress) end() {
	if p != nil {
		p.once.Do(func() { close(p.done) })
		<-p.ended
	}
}

// line says how far it is.
func (p *progress) line(now time.Time) string {
	read, took := p.read.Load(), now.Sub(p.begun)
	rate := float64(read) / took.Seconds()
	speed := units.Size(rate).Short() + "/s"
	if p.total <= 0 || read > p.total { // of a file that grows, too
		return fmt.Sprintf("read %s, %s", units.Size(read).Short(), speed)
	}
	line := fmt.Sprintf("read %s of %s, %d%%, %s", units.Size(read).Short(), units.Size(p.total).Short(), 100*read/p.total, speed)
	switch {
	case read == p.total:
		line += ", summing up"
	case read > 0:
		line += ", " + text.Span(time.Duration(float64(p.total-read)/rate*float64(time.Second)).Round(time.Second)) + " left"
	}
	return line
}
