// Package ipe decodes the audit records of Integrity Policy Enforcement, the
// Linux security module that decides which files may be executed, mapped or
// loaded.
//
// [Classify] says whose record it is: the record types of IPE are shared with
// SELinux, Landlock and patched kernels, so the content decides. A [Decoder]
// turns the records that are IPE's into an [Event]: of Linux 6.12 and later,
// of the forms that were in use before the merge, and of the trees derived
// from either. What differs between them is data: a dialect is a table of
// keys. Fields are read by key, in any order, and unknown ones are kept.
//
// The package refuses to guess and to drop. A record that is IPE's but does
// not follow the grammar becomes an event of [KindUnparsed] that holds its
// text; a value that a field cannot have is kept as text in Extra. It does not
// read sockets or files, does not join the records of one audit event, and
// does not format. It returns no errors: every text has a class.
//
// The byte slices of an Event view the text that was decoded or the Decoder's
// scratch space. They live until the text is overwritten or the next Decode,
// whichever comes first; copy what must live longer. Decoding does not
// allocate once the lists of the Event and the scratch space have grown to
// what the records need. A Decoder belongs to one goroutine at a time;
// Classify may be called from any.
package ipe
