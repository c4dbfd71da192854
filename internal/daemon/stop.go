package daemon

import (
	"time"

	"go.uber.org/zap"
)

// stopReceiving lets the receiver end. What is queued at an inherited socket
// waits for the next daemon; our own socket ends with us, so it takes nothing
// more, and everything that it holds is received first.
func (d *daemon) stopReceiving() {
	if d.Inherited.Audit == nil {
		d.emptySocket()
	}
	if err := d.conn.SetReadDeadline(time.Now()); err != nil {
		d.conn.Close()
	}
}

// emptySocket waits until the receiver has taken what was queued. It looks again
// and again, once in the life of the daemon, for the kernel tells nobody.
func (d *daemon) emptySocket() {
	if err := d.conn.Leave(); err != nil {
		d.log.Warn("what the kernel sends while the daemon stops may be lost", zap.Error(err))
	}
	for end := time.Now().Add(emptyTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if queued, err := d.conn.Queued(); err != nil || queued == 0 {
			return
		}
	}
}
