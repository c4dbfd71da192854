// Package activepolicy concludes from a stream of events which policy is in force,
// which one judged an access, and whether it is enforced. No record of the
// kernel says the first two; the order of the records does.
//
// # What is evidence
//
//   - An activation (record 1421) names the policy that is in force from there
//     on. So does an update of the policy in force: the kernel reports it as a
//     load and then as an activation (ipe_update_policy, security/ipe/policy.c).
//     A load alone, the deletion of a policy and a switch of enforcement change
//     nothing.
//   - A reading of securityfs, also in an event "started" or "heartbeat", tells what was in
//     force when it was read. It says nothing of records that were queued by
//     then, so it holds for those whose stamp is later. A stamp is never later
//     than the judgement: it is the kernel's coarse clock, or the beginning of
//     the system call (audit_get_stamp, kernel/auditsc.c).
//
// # What ends it
//
// A loss of which nobody can say that it hid no activation makes the policy
// unknown, until the next evidence. Where in the stream the hole is does not
// show when the loss is noticed: records that lie before it may still be
// queued. So an activation from before that moment is no evidence any more.
//
// # What it refuses to do
//
// It does not guess: neither backwards, from a record that names the policy it
// replaces, nor over a gap. Of a capture it does not know what was lost before
// it was taken. It does not see what gives no record: the activation of the
// policy that is built into the kernel, at boot (security/ipe/ipe.c, ipe_init),
// and success_audit.
//
// # What remains
//
// The kernel changes the policy first and reports it then, and it queues a
// record some moments after it was judged. Of records behind an activation
// whose serial is from before it, the policy is not known, therefore, nor of those
// that come within 10 ms behind the record that one policy took the place of
// another: an access that was judged by the old one may be logged behind that, at
// most one a processor (2 of 20,483 in a flood). But
// accesses on other processors that were judged by the new policy may get in
// front of the record of the activation, and are held to be judged by the old
// one. That lasts microseconds, longer only while the writer of the policy waits
// for room in a full audit queue (audit_log_start), where accesses are lost.
//
// # Memory
//
// A [Tracker] copies what it keeps. The policies that it returns are never
// changed, and live on.
package activepolicy
