package sink_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func Example() {
	s, err := spool.Open(spool.Options{}) // in memory
	if err != nil {
		fmt.Println(err)
		return
	}
	end := s.End()
	reader := s.NewReader(spool.Start{After: &end})
	defer reader.Close()

	r := sink.New(sink.Config{
		Name:   "terminal",
		Sink:   console.New(os.Stdout),
		Source: reader,
		Start:  end,
		Format: func(dst []byte, ev *ipe.Event, c *format.Context) []byte {
			return fmt.Appendf(dst, "%d: %s of %s %s\n", c.Seq, ev.Op, ev.Path, ev.Verdict)
		},
	})
	done := make(chan error)
	go func() { done <- r.Run(context.Background()) }()

	s.Append([]spool.Record{{Type: 1420, Data: []byte(`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK ` +
		`enforcing=1 pid=570 comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`)}})
	if err := s.Close(); err != nil { // the runner delivers the rest and ends
		fmt.Println(err)
	}
	if err := <-done; err != nil {
		fmt.Println(err)
	}
	fmt.Println(r.Status().Delivered, "delivered")
	// Output:
	// 1: EXECUTE of /tmp/true denied
	// 1 delivered
}
