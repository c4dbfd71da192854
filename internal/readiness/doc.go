// Package readiness answers whether enforcement may be switched on: what would
// be denied that is let through now?
//
// A [Check] takes the events of a history and, at its end, gives an [Answer]:
// nothing that was seen would be denied, or these things would, or it cannot be
// said, and why not. It judges by the policy in force, whose verdicts are in the
// events, or by a candidate: then every object that was seen is judged by that,
// as far as its properties can be found out now.
//
// # What counts
//
// Without a candidate, denials and would-be denials by the policy that was in
// force last, and those of which it is not known who judged them since that one
// was activated. What earlier policies would have denied says nothing of it.
//
// With a candidate, every access that was recorded, whoever judged it. The
// kernel records what a policy allows only with success_audit: without, the
// candidate may deny what nobody has seen, and no answer but a denial is
// possible.
//
// Of several hosts each has an answer of its own, by its own policy, and the worst
// is that for all. A candidate is asked about objects of other hosts only as far as
// the records tell their properties.
//
// # What it refuses to do
//
// It gives no benefit of the doubt. Where something was lost, could not be read
// or was not watched for long enough, the best answer is that nobody knows. But
// a denial is a denial, whatever else is missing.
//
// It cannot see what was never tried, and a program that was denied shows
// nothing of what it would have done next. That success_audit was switched off
// in between gives no record, so a start that found it on is believed until
// another finds it off.
//
// # Memory
//
// Accesses are kept in report.Groups, which are bounded; what was given up is a
// reason why it cannot be said. Nothing views the events.
package readiness
