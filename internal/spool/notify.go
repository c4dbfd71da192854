package spool

import "sync"

// ChangeKind says what happened to the spool.
type ChangeKind int

// The kinds of changes.
const (
	// WentToMemory: the disk failed (Err); entries are kept in memory, under
	// the new id ID.
	WentToMemory ChangeKind = iota + 1
	// BackOnDisk: entries go to the disk again, under the new id ID.
	BackOnDisk
	// TornTail: Bytes at the end of File were not a whole entry. They had
	// not been appended yet when the process was killed, and were cut off.
	TornTail
	// Damaged: Bytes in or at the end of File are not sound. Entries may have
	// been lost with them. The file is left as it is.
	Damaged
	// SetAside: File is no segment that this version can read (Err). It was
	// renamed and is not counted in the bound. Readers are told of a gap where
	// it was.
	SetAside
	// TailUncertain: the machine went down without a clean stop, so the end
	// of id ID may have been lost. A new id was begun.
	TailUncertain
	// MemoryUncertain: the process before did not end cleanly, and not with
	// everything on disk: it was in the memory form, as far as is known, and
	// what came after the end of id ID may have been lost. A new id was begun.
	MemoryUncertain
	// TailLost: entries at the end of id ID are gone, although the process
	// before ended in order, or was killed on a sound disk: at least Count,
	// which is 0 where not even one can be counted. The mark, the cursor of a
	// reader or a damaged file says so. A new id was begun.
	TailLost
	// Moved: the directory is not the one that the process before wrote to, but
	// a copy, such as one from a backup. What came after the copy was made, at
	// the end of id ID, is not in it. A new id was begun.
	Moved
	// LostInMemory: the spool was closed with Count entries in memory only.
	// Who has not read them yet never will.
	LostInMemory
	// SyncFailed: the last sync before closing failed or took too long (Err).
	SyncFailed
)

var changeNames = [...]string{
	"", "went to memory", "back on disk", "torn tail cut off", "damaged", "set aside",
	"tail uncertain", "memory uncertain", "tail lost", "directory moved", "lost in memory", "sync failed",
}

// String returns the change in words.
func (k ChangeKind) String() string {
	if k <= 0 || int(k) >= len(changeNames) {
		return "unknown change"
	}
	return changeNames[k]
}

// Change is one thing that happened to the spool.
type Change struct {
	Kind  ChangeKind
	ID    ID     // the id it is about, where there is one
	Err   error  // why
	File  string // path, where it is about one file
	Bytes int64
	Count uint64 // entries
}

// maxChanges bounds the changes that wait for a slow Notify; those beyond are
// not told. There are only so many of them: a few at the start, then two for
// each failure of the disk.
const maxChanges = 1024

// notifier calls Options.Notify from its own goroutine.
type notifier struct {
	call func(Change)
	gone chan struct{}

	mu    sync.Mutex
	ready sync.Cond
	queue []Change
	ended bool
}

// startNotifier returns nil, which is a notifier too, when nobody wants to be
// told.
func startNotifier(call func(Change)) *notifier {
	if call == nil {
		return nil
	}
	n := &notifier{call: call, gone: make(chan struct{})}
	n.ready.L = &n.mu
	go n.run()
	return n
}

func (n *notifier) enqueue(c Change) {
	if n == nil {
		return
	}
	n.mu.Lock()
	if len(n.queue) < maxChanges {
		n.queue = append(n.queue, c)
	}
	n.mu.Unlock()
	n.ready.Signal()
}

// end returns when everything was told.
func (n *notifier) end() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	n.ready.Signal()
	<-n.gone
}

func (n *notifier) run() {
	defer close(n.gone)
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		for len(n.queue) == 0 {
			if n.ended {
				return
			}
			n.ready.Wait()
		}
		c := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		n.call(c)
		n.mu.Lock()
	}
}
