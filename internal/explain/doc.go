// Package explain says of one event in words what happened, which rule decided and
// where it stands in the policy, why the rules before it did not match, and what
// would allow what was denied.
//
// The object is measured now (package fileprops), and the text of the policy is
// that which the kernel has now. What cannot be known, is not certain any more or
// was on another host is said to be so.
//
// Paths and commands are chosen by those who are denied: everything that comes out
// of an [Explanation] is printable (package text).
//
// What comes in is only read, what comes out belongs to the caller.
package explain
