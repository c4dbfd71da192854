// Package auditwatch finds out what changes of the kernel's audit subsystem take
// away from the records of IPE, and tells it as events of ipe.KindAuditConfig.
//
// While audit is enabled the kernel records such changes, and who made them; a
// record is an event by itself. But audit is not enabled by default, exclude rules
// work all the same, and the record of a rule does not say what the rule says. So
// a Watch asks the kernel, at the start, behind each such record and every minute,
// and compares the answer with what it knows: from the answer before, from the
// records since, and from the process before, where that was of the same boot. What
// has changed and no record has told is told. An answer that says something new is
// asked for twice, so that a record that is under way is not told a second time.
//
// It does the same with what securityfs says of IPE: the kernel makes no record of
// a policy that is deleted, nor of success_audit.
//
// What was taken away and not given back is what [Watch.Degraded] returns.
//
// [Watch.Record] may be called by the receiver: it waits for nothing that asks, and
// does not allocate. Everything else is done by the goroutine that calls Run.
package auditwatch
