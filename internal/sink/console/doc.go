// Package console is the sink that writes to a stream somebody else owns,
// usually standard output.
//
// Entries are collected and written with one call per flush. A stream cannot be
// truncated, so what a failed write tore is completed by the next one that
// succeeds: the stream never has half an entry followed by another one. A
// stream that would block (EAGAIN, as when another process made a shared
// terminal non-blocking) is waited for. A reader that went away (EPIPE) is an
// error like any other; whether SIGPIPE ends the program first is decided by
// the program.
//
// The package refuses to close the stream, to change its flags, and to colour
// or format anything. A write that the kernel does not finish cannot be called
// off: then Close leaves the goroutine that is inside of it behind, and the next
// Open waits until it is back.
//
// Bytes lent to Write are copied before it returns.
package console
