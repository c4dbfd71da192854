// Package statedir judges who may have written to the state directory, of which
// the spool is the larger part: whoever can, can forge events. The daemon refuses
// to start on a directory of others, and commands that look at one say so, all by
// [CheckOwner].
//
// It only looks. It opens no file of the directory and changes nothing, follows
// links to the directory but none in it, and needs no right beyond reading it.
// The memory of what it returns is the caller's.
package statedir
