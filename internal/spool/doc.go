// Package spool is the bounded log of raw records between the kernel and the
// sinks: one log, many readers.
package spool
