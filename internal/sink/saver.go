package sink

import (
	"fmt"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// The pauses between two saves, and after one that failed.
const (
	saveInterval = 100 * time.Millisecond
	saveRetry    = time.Second
)

// saver saves the newest cursor now and then, in a goroutine of its own.
type saver struct {
	save func(spool.Cursor) error
	note func(error) // told the outcome of every save

	changed chan struct{} // holds a token while there is something to save
	quit    chan struct{}
	done    sync.WaitGroup

	mu     sync.Mutex
	cursor spool.Cursor
	dirty  bool // cursor is not saved
}

func newSaver(save func(spool.Cursor) error, note func(error)) *saver {
	return &saver{save: save, note: note, changed: make(chan struct{}, 1), quit: make(chan struct{})}
}

// set makes c the cursor to save.
func (s *saver) set(c spool.Cursor) {
	s.mu.Lock()
	s.cursor, s.dirty = c, true
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *saver) start() {
	s.done.Go(func() {
		for {
			select {
			case <-s.changed:
			case <-s.quit:
				return
			}
			pause := saveInterval
			if err := s.flush(); err != nil {
				pause = saveRetry
				select {
				case s.changed <- struct{}{}:
				default:
				}
			}
			select {
			case <-time.After(pause):
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
	if err != nil {
		err = fmt.Errorf("save cursor: %w", err)
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
	}
	s.note(err)
	return err
}
