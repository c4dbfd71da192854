package exec_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// One run for each event, which says something on standard error.
func Example() {
	c := &exec.Config{
		Command: []string{"/bin/sh", "-c", `echo "page: $IPE_VERDICT $IPE_PATH" >&2`},
		Mode:    exec.ModeEach,
		Timeout: 10 * time.Second,
	}
	built, err := c.Build(&sink.Environment{Info: func(message string) { fmt.Println(message) }})
	if err != nil {
		panic(err)
	}
	s, ctx := built.Sink, context.Background()
	if err := s.Open(ctx); err != nil {
		panic(err)
	}
	defer s.Close()

	ev := &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Path: []byte("/tmp/x")}
	if err := s.Write(ctx, &sink.Entry{Event: ev, Bytes: built.Format(nil, ev, &format.Context{})}); err != nil {
		panic(err)
	}
	if err := s.Flush(ctx); err != nil {
		panic(err)
	}
	for _, c := range s.(sink.Counting).Counters() {
		if c.Name == "runs" {
			fmt.Println(c.Count, "run")
		}
	}
	// Output:
	// command says: page: denied /tmp/x
	// 1 run
}
