package spool

import (
	"errors"
	"time"
)

// Errors of this package, for errors.Is.
var (
	// ErrLocked is returned by Open when another process has the directory.
	ErrLocked = errors.New("spool is in use by another process")
	// ErrStalled is the reason for the memory form when a write did not
	// return in time.
	ErrStalled = errors.New("write to the disk did not return in time")
	// ErrClosed is returned once the spool, or the reader, was closed.
	ErrClosed = errors.New("spool is closed")
)

// Options say how a spool is kept. The zero value of each field stands for its
// default.
type Options struct {
	Dir    string        // directory, made with mode 0700; empty: in memory only
	Size   int64         // bound on disk in bytes; default 256 MiB
	Memory int64         // bound of the entries that are in memory only, in bytes; default 16 MiB
	Sync   time.Duration // longest time an entry waits to be synced; default 1 s

	// BootID is that of the running kernel (/proc/sys/kernel/random/boot_id).
	// All zero means not known: then a process that was killed cannot be told
	// from a power cut, and its id is not continued.
	BootID [16]byte

	// Delivered are the cursors that readers have saved. One beyond the end of
	// its id proves that entries are lost.
	Delivered []Cursor

	// StallTimeout is how long a write may take before the disk counts as
	// failed, while this process runs: that it was stopped, or starved of the
	// processor, does not count. Default 2 s.
	StallTimeout time.Duration

	// Retry is the first pause before a failed disk is tried again; it
	// doubles up to 64 times that. Default 1 s.
	Retry time.Duration

	// Notify is told what happens to the spool, by one goroutine, in order,
	// with no lock held. It may append to the spool but must not close it.
	Notify func(Change)

	// FS is the file system; default the real one.
	FS FS
}

func (o *Options) setDefaults() {
	if o.Size <= 0 {
		o.Size = 256 << 20
	}
	if o.Memory <= 0 {
		o.Memory = 16 << 20
	}
	if o.Sync <= 0 {
		o.Sync = time.Second
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 2 * time.Second
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
}

// slowestRetry is the longest pause before a failed disk is tried again.
func (o *Options) slowestRetry() time.Duration { return 64 * o.Retry }

// segmentSize returns the size at which a segment is full, in bytes.
func (o *Options) segmentSize() int64 { return max(o.Size/8, 4096) }

// chunkSize returns the size of a chunk of memory in bytes.
func (o *Options) chunkSize() int { return int(min(max(o.Memory/8, 1024), 256<<10)) }

// cacheSize bounds the newest entries that are kept in memory although they
// are on disk, so that readers who keep up never touch the disk.
func (o *Options) cacheSize() int64 { return min(o.Memory, 1<<20) }
