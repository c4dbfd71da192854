// Package auditrec knows how audit records are written, and nothing of what
// they mean.
//
// The text of a record is a stamp and a body. In the words of kernel/audit.c,
// audit_log_start and audit_log_untrustedstring:
//
//	record    = stamp body
//	stamp     = "audit(" seconds "." 3 digits ":" serial "):" [" "]
//	body      = { blank } [ field { blank { blank } field } ] { blank }
//	field     = key "=" value
//	key       = one or more bytes other than blank, "=" and the double quote
//	value     = quoted | bare
//	quoted    = a double quote, any bytes, a double quote that a blank or the
//	            end of the text follows
//	bare      = zero or more bytes other than blank, the first no double quote
//	untrusted = quoted | upper-case hex digits, two for each byte | "?"
//
// Blank is the space and nothing else. There is no escape character: a string
// that holds a double quote, a blank, a control byte or a byte above 0x7e is
// printed in hex, so a quoted untrusted string ends at the next quote. Policy
// names of IPE are the exception: they are printed raw, and can hold quotes
// but no blanks. The rule for the end of quoted values is right for both.
//
// The package cuts views out of its input, in the manner of [bytes.Cut]; it
// keeps nothing, copies nothing but what is decoded from hex, and does not
// allocate. It refuses to guess: text that does not follow the grammar is
// reported to the caller, who still holds it.
package auditrec
