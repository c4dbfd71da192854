// Package atomicfile replaces small files as a whole, so that whoever reads one,
// at any moment and after any end of the process, finds the old content or the
// new. It also opens files of which nobody knows who put them there.
//
// A file is written beside its place, under its name with [Suffix], and then
// renamed. What a crash leaves there is removed by the next attempt. Two
// processes must not replace the same file at the same time: the owner of a
// directory holds a lock, or is the only one.
//
// Google's renameio was weighed (v2.0.2): it syncs the file but never the
// directory, leaves files with random names behind after a crash, and cannot be
// given a file system that fails on purpose.
package atomicfile
