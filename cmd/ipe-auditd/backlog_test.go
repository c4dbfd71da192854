package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// gate is a stream that takes nothing until it is opened.
type gate struct {
	opened chan struct{}
	text   bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.opened
	return g.text.Write(b)
}

func TestLogDoesNotWaitForStderr(t *testing.T) {
	t.Parallel()
	stderr := &gate{opened: make(chan struct{})}
	log, err := newLog(stderr, "info")
	if err != nil {
		t.Fatal(err)
	}
	const lines = 2 * maxBacklog / 100
	for i := range lines {
		log.Info(strings.Repeat("x", 100), zap.Int("line", i)) // would wait for ever
	}
	close(stderr.opened)
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	text := stderr.text.String()
	written := strings.Count(text, "xxx {") // each line of ours once
	dropped := 0
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, "[%d lines left out", &n); err == nil {
			dropped += n
		}
	}
	if written+dropped != lines || written == 0 || dropped == 0 {
		t.Errorf("%d lines written and %d left out, want %d in all", written, dropped, lines)
	}
}

func TestLogSyncGivesUpOnAStderrThatIsStuck(t *testing.T) {
	t.Parallel()
	stderr := &gate{opened: make(chan struct{})}
	defer close(stderr.opened)
	b := newBacklog(stderr)
	b.Write([]byte("never taken\n"))
	if err := b.Sync(); err != os.ErrDeadlineExceeded {
		t.Errorf("Sync returned %v", err)
	}
}
