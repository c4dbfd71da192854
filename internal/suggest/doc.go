// Package suggest turns denials into a policy: for each object the narrowest rule
// that allows it and nothing else.
//
// [Suggest] takes the file's fs-verity digest, else the root hash of the dm-verity
// volume that it is on; where signatures are asked for and there is one, the rule
// that asks for it. What no rule can allow is said in comments, with the reason and
// with what would help. [Propose] does so for one object.
//
// It measures the objects now (package fileprops) and judges by policies as the
// kernel does (package policy).
//
// # What it refuses to do
//
// It never suggests a rule broader than asked for: not boot_verified=TRUE,
// which is the whole initramfs, no default, no rule without a property. It does
// not overrule a rule of the base policy that denies an object by its digest or
// root hash. It suggests nothing for a file that is not the one of the record
// any more. It signs and loads nothing.
//
// # Untrusted text
//
// Paths and commands are chosen by those who are denied. In comments they stand
// escaped (package text): no line end among them can begin a rule. Every policy
// that Suggest makes is parsed and judged again before it is returned.
//
// # Memory
//
// What comes in is only read, what comes out belongs to the caller. Nothing is
// shared between calls.
package suggest
