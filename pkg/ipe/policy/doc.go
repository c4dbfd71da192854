// Package policy reads policies of Integrity Policy Enforcement with the
// verdict of the kernel's own parser, and judges by them as the kernel does.
//
//	policy_name=lab policy_version=1.0.0
//	DEFAULT action=ALLOW
//	DEFAULT op=EXECUTE action=DENY
//
//	# what came with the initramfs
//	op=EXECUTE boot_verified=TRUE action=ALLOW
//
// [Parse] accepts what security/ipe/policy_parser.c accepts, and refuses the
// rest with the same error number, at a line and column. That holds for the
// odd corners too: a comment begins anywhere, a NUL ends the text, a version
// may say +1, a digest may be empty and its algorithm may have any name. The
// parser is the same from Linux 6.12 to 7.3. [CheckName] knows what only
// becomes an error later, when the policy gets its directory in securityfs.
//
// [Policy.Judge] walks the rules as security/ipe/eval.c does: the first rule of
// the operation whose properties all hold, else the operation's default, else
// the global one. It works with what is known of an object, [Facts]: when the
// action depends on what is not known, it says so, and on which rules.
//
// [ParseLenient] also takes operations and properties that no kernel from 6.12 to
// 7.3 has, but a newer or vendor kernel may; what depends on them is not known.
// [CheckSize] knows how large a text may be to be loaded, [RefusalOf] what the
// error numbers of the kernel mean.
//
// [Check] finds everything that is wrong with a text, for its author: all that the
// kernel refuses, and rules that can never match or never decide.
//
// [Policy.AppendText] writes a policy that Parse reads back as the same one.
//
// The package reads no file and verifies no signature: a policy that Parse
// accepts still has to be signed by a key that the kernel trusts. It does not
// know which properties a kernel was built with; one that is missing is parsed
// by the kernel all the same and never holds.
//
// A Policy owns its memory and keeps nothing of the text. Nothing here is
// shared: every function may be called from any goroutine, and a Policy that
// nobody changes may be read by several.
package policy
