package sink

import (
	"fmt"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// The pauses between two saves, and after one that failed. The first is short
// enough that at some ten events a second each one is saved while the process is
// awake for it anyway: to be woken later, by a timer, costs more than a save.
const (
	saveInterval = 50 * time.Millisecond
	saveRetry    = time.Second
)

// saver saves the newest cursor now and then, in a goroutine of its own.
type saver struct {
	save func(spool.Cursor) error
	note func(error) // told the outcome of every save

	timer *time.Timer // runs while there is something to save: without, nobody is woken
	quit  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	cursor spool.Cursor
	dirty  bool      // cursor is not saved
	next   time.Time // when the next save may be
}

func newSaver(save func(spool.Cursor) error, note func(error)) *saver {
	s := &saver{save: save, note: note, timer: time.NewTimer(time.Hour), quit: make(chan struct{})}
	s.timer.Stop()
	return s
}

// set makes c the cursor to save.
func (s *saver) set(c spool.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		s.timer.Reset(time.Until(s.next))
	}
	s.cursor, s.dirty = c, true
}

func (s *saver) start() {
	s.done.Go(func() {
		for {
			select {
			case <-s.timer.C:
				_ = s.flush() // tried again; note was told
			case <-s.quit:
				return
			}
		}
	})
}

// stop ends the goroutine and saves what is left.
func (s *saver) stop() error {
	close(s.quit)
	s.done.Wait()
	return s.flush()
}

// flush saves the cursor if that was not done yet.
func (s *saver) flush() error {
	s.mu.Lock()
	c, dirty := s.cursor, s.dirty
	s.dirty = false
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	err := s.save(c)
	pause := saveInterval
	s.mu.Lock()
	if err != nil {
		err = fmt.Errorf("save cursor: %w", err)
		s.dirty = true
		pause = saveRetry
	}
	s.next = time.Now().Add(pause)
	if s.dirty { // again, or still; set may have started the timer for the old next
		s.timer.Reset(pause)
	}
	s.mu.Unlock()
	s.note(err)
	return err
}
