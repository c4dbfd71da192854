// Package segment knows how a spool lies in its directory: segment files of
// frames, and the mark that says where they end. It encodes and checks frames,
// finds the end of a file that a crash has left, and reads segments in order with
// whatever is missing in them. The format is described in format.go.
//
// A live spool (package spool) writes these files and has its own readers on top
// of [Reader]. [OpenOffline] is for programs other than the daemon: it reads a
// directory without a lock, also while a daemon writes it.
//
// # What it refuses to do
//
// It changes no segment: repairing, removing and bounding are the live spool's. It
// takes no frame on trust: each has a checksum that begins with the id of its
// spool, and numbers that must not go back. Nothing in a damaged file makes it
// fail; what lies between two sound frames is a [Hole], of which the numbers say
// how much it was.
//
// # Memory
//
// A [Frame] views the buffer it was decoded from, and lives until the next call
// of the [Reader] or [Offline] that returned it. A Reader has one buffer of 64
// KiB, or of the longest frame.
package segment
