package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	for _, tt := range []struct {
		read, total int64
		after       time.Duration
		want        string
	}{
		{0, 2 << 30, time.Second, "read 0 bytes of 2GiB, 0%, 0 bytes/s"},
		{1 << 30, 2 << 30, 10 * time.Second, "read 1GiB of 2GiB, 50%, 102.4MiB/s, 10s left"},
		{2 << 30, 2 << 30, 20 * time.Second, "read 2GiB of 2GiB, 100%, 102.4MiB/s, summing up"},
		{3 << 20, 1 << 20, time.Second, "read 3MiB, 3MiB/s"}, // it has grown
		{3 << 20, 0, time.Second, "read 3MiB, 3MiB/s"},
	} {
		p := &progress{total: tt.total, begun: begun}
		p.add(int(tt.read))
		if got := p.line(begun.Add(tt.after)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestShortWorkShowsNoProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, 1)
	p.add(1)
	p.end()
	p.end()
	if out.Len() > 0 {
		t.Errorf("got %q", out.String())
	}
	var none *progress
	none.add(1)
	none.end()
}
