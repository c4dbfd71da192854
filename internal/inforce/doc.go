// Package inforce concludes from a stream of events which policy is in force,
// and whether it is enforced.
//
// The kernel says which policy judged an access in no record; it only says when
// another one is activated (1421) and when enforcement is switched (1404). So
// what is in force is known from the first such record on, or from the start of
// the daemon where it could read securityfs, and not any more as soon as a
// record of a change may have been missed: a loss, or a record that cannot be
// read. Then nothing is said until the next evidence.
//
// # What it refuses to do
//
// It does not guess: neither backwards, from a record that names the policy it
// replaces, nor over a gap. It does not see what gives no record: the
// activation of the policy that is built into the kernel, at boot
// (security/ipe/ipe.c, ipe_init), and success_audit.
//
// # Memory
//
// A [Tracker] copies what it keeps. [Tracker.State] views that copy, which the
// next Observe or Forget may overwrite.
package inforce
