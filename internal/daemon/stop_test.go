package daemon

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// hanging is a sink that opens for ever, until it is cancelled.
type hanging struct{}

func (hanging) Open(ctx context.Context) error                 { <-ctx.Done(); return ctx.Err() }
func (hanging) Write(context.Context, *sink.Entry) error       { return nil }
func (hanging) Flush(context.Context) error                    { return nil }
func (hanging) Close() error                                   { return nil }
func (hanging) Next(ctx context.Context) (*spool.Entry, error) { <-ctx.Done(); return nil, ctx.Err() }
func (hanging) TryNext() (*spool.Entry, bool, error)           { return nil, false, nil }
func (hanging) Rewind(spool.Cursor)                            {}

// Sinks that a reload removes are ended together, and no longer than until the
// daemon itself is to end.
func TestHangingSinksAreStoppedTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		term time.Duration // when ctx ends; 0: never
		most time.Duration
	}{
		{"reload", 0, reloadPatience + 2*time.Second},
		{"SIGTERM during a reload", time.Second, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &sinkSet{d: &daemon{log: zap.NewNop()}, instances: make(map[string]*sinkInstance)}
				patience := make(map[string]time.Duration)
				for i := range 8 {
					name := fmt.Sprint("s", i)
					r := sink.New(sink.Config{Name: name, Sink: hanging{}, Source: hanging{}, Format: format.AppendJSON})
					f.instances[name] = &sinkInstance{runner: r}
					patience[name] = reloadPatience
					go r.Run(context.Background())
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if tt.term > 0 {
					time.AfterFunc(tt.term, cancel)
				}
				begin := time.Now()
				f.stop(ctx, patience)
				if d := time.Since(begin); d > tt.most {
					t.Errorf("8 sinks that hang took %v to stop, want at most %v", d, tt.most)
				}
			})
		})
	}
}
