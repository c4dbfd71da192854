// Package spool is the log between the kernel and the sinks: raw records with
// sequence numbers, bounded, on disk or in memory, appended by few and read by
// many, each reader at a position of its own.
//
// # What it promises
//
// What Append has returned for is there for every reader, in order, once for
// each reader, until the bound gives it up; and a reader that missed entries
// is told which. It survives the end of the process when it is on disk, and
// the end of the machine when it is synced, at most Options.Sync later.
//
// An event is named by the id of the spool, 64 random bits, and a sequence
// number, gapless from 1 within the id. The name is one for ever and everywhere,
// so an id goes on only where it is certain that no entry is missing before the
// next one, and that nobody else goes on with it. A new id is drawn
//
//   - with each boot: clones of a machine, and snapshots that are rolled back,
//     begin with one;
//   - when the directory is another one than the mark notes, by device and
//     inode number, or the mark itself was made anew, by its time of birth: a
//     copy, or a backup that was restored;
//   - when the disk fails, is full, or a write does not return within
//     Options.StallTimeout: the memory form takes over at once. So it does,
//     at the next sync, when somebody removed the segment that is written;
//   - when the disk is back, which is tried by itself. What is in memory is
//     then written to a segment of its own, under its own id, so readers who
//     come later find it;
//   - by Open, when the end of the newest id may have been lost. It cannot
//     have been if the spool was closed (a mark says so, and where), or if
//     the mark says that all entries went to the disk and the boot id is
//     still the same: then the page cache has outlived the process, however
//     that died. An unfinished write at the end is cut off, because nobody
//     was told of it; it ends with a page. Anything else unsound there means a
//     new id, and so does the absence of a mark, or a mark or a cursor that
//     knows of entries behind the end.
//
// What an id cannot do is tell two machines apart that are resumed from one
// snapshot of the memory of a virtual machine: nothing in it has changed.
//
// # What is missing is told
//
// Each frame has its numbers, and each header says where its segment begins and
// where the id before ended. So a reader is told of everything that is missing
// between two frames that are there, how many events it is, or that nobody can
// know. Behind the last frame the mark tells: it holds the end of a spool that was
// closed, and of one that runs what was there at the last sync. Options.Delivered
// adds the cursors of readers. What neither of them knows of can be cut off without
// a trace only by somebody who does that to a file while its process is dead, in
// the same boot, at the end of a frame or of a page: to entries younger than
// Options.Sync that nobody has read.
//
// # Attachments
//
// What was learnt about an event behind it, such as the records of who did it,
// is appended as an attachment. It takes no sequence number: the identity of
// the events is not touched by how much there is to say about each. A reader
// that asks for attachments (Start.Attachments) gets them in the order of the
// log, with Entry.Attachment set; it has to join them to their events itself, by
// Entry.Event or by what the data says. All others do not see them, nor the
// gaps in which only attachments are missing. A cursor names an event: what
// came right behind that one comes again.
//
// # The mark
//
// The mark is one small file. It is there while entries go to the disk, is
// removed before Append returns for the first one that does not, is made again
// with the return to the disk, and says that the spool is closed once it is.
// So after kill -9 in the memory form Open draws a new id and tells
// MemoryUncertain. The limits of that:
//
//   - A full disk lets the mark be removed. One that hangs is not waited for,
//     but the removal is over before the next process can lock the directory:
//     the kernel keeps the lock until the killed one's system calls return.
//   - A read-only disk does not let it be removed. If the process ends in the
//     memory form there, and the disk is writable again for the next Open, all
//     in one boot, then the id on disk is continued and nothing is told.
//   - When the process is killed right after the switch back to the disk, while
//     the rest of what was in memory is still being written, Open tells
//     nothing, but each reader that gets there is told a gap.
//   - Nothing on disk names an id that was in memory only. Once it is gone, a
//     reader with a cursor of it is told a gap of unknown size and begins with
//     the oldest entry: entries come twice rather than not at all.
//
// So a cursor may be durable before its entry is: if the entry is lost, its
// sequence number never names another one, and the reader begins the next id
// at its first entry.
//
// # What it refuses to do
//
// It never waits for a reader (but in AppendWait), never syncs in Append, and
// uses no mmap: an error of the disk is an error value here, not a SIGBUS. It
// does not retry a sync that failed, because the kernel forgets the pages and
// answers the next one with success; it counts the disk as failed and goes on
// with another file. It deletes nothing it cannot read: such a segment is
// renamed (".aside") and told. It does not protect against somebody who can
// write to its directory, and does not bound how long a reader waits for a
// disk that hangs while it reads old entries; one that keeps up reads from
// memory.
//
// Open blocks on a disk that hangs; so do SaveCursor and LoadCursor.
//
// # Reading without the lock
//
// [segment.OpenOffline] is for programs other than the daemon: it reads the segments of
// a directory, also while a daemon writes them, takes no lock and changes
// nothing. What is in memory only it does not see, and says so.
//
// # Goroutines
//
// Appenders are serialised. The write itself is done by a writer goroutine
// which gets the encoded batch and is waited for, at most StallTimeout long: a
// write(2) cannot be given up by the thread that is in it. A writer that was
// left behind holds only memory and a file that nobody else writes to any
// more. When it wakes up it takes back what it wrote, since those records were
// kept under another id, and ends. Another goroutine syncs, one calls
// Options.Notify, and one tries a failed disk. An idle spool wakes up for
// nothing.
//
// # Memory
//
// Append copies the records. The newest entries, up to 1 MiB, stay in memory in
// chunks after they are written, or up to Options.Memory where they are nowhere
// else. A chunk only grows, so readers look at its published part without lock or
// copy: [Entry].Data is shared and must not be written to. It lives until the
// reader's next call. A reader holds on to one chunk (at most 256 KiB) or one
// buffer (64 KiB, or the longest frame) whatever the bound gives up behind it; one
// that reads from the disk keeps its segment's place there until it goes on to the
// next. A chunk is allocated about once in a thousand records, and nothing per
// record.
//
// # Why not a library
//
// Weighed were tidwall/wal v1.2.1, go.etcd.io/etcd/server/v3/storage/wal,
// prometheus/tsdb/wlog, bbolt v1.5.0 and go-diskqueue v1.1.0. None gives up its
// oldest entries by itself and tells each reader what it missed, knows of an
// identity beyond the sequence number, or survives a write that hangs. Beyond
// that: tidwall/wal has no checksums, does not open after a torn tail (its
// issue 21), and keeps readers out while it writes and syncs, and measured 963
// ns an entry where a plain file takes 71. etcd chains its checksums, so
// nothing after a damaged record can be read, and syncs in the caller.
// Prometheus's repair deletes every segment after a damaged one. go-diskqueue
// has one reader; bbolt is a tree in an mmap, at 1.7 µs an entry. Learnt from
// them were the frames, the segments and the repair of a torn tail; all of that
// together is less code than adapting one of them would be.
//
// Package segment describes the format on disk, encodes it and reads it.
package spool
