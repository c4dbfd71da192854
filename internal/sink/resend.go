package sink

import "context"

// flushError is an error of a Flush without an entry.
type flushError struct{ error }

// whileAlive returns a context that ends with ctx or when the sink wants to flush.
func (r *Runner) whileAlive(ctx context.Context) (context.Context, watch) {
	if r.resender == nil {
		return ctx, watch{}
	}
	alive := r.resender.Alive()
	if alive == nil {
		return ctx, watch{}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(alive, cancel)
	return ctx, watch{alive: alive, stop: func() { stop(); cancel() }}
}

// watch is what whileAlive began.
type watch struct {
	alive context.Context
	stop  func()
}

func (w *watch) end() {
	if w.stop != nil {
		w.stop()
	}
}

// ended reports whether the sink wants to flush.
func (w *watch) ended() bool { return w.alive != nil && w.alive.Err() != nil }
