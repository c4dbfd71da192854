package fairshare

// Passed returns the work of decoding a record of that many bytes, in units of
// [Task.Spend].
func Passed(bytes int) int { return 1 + bytes/512 }

// Request is the work of dealing with a request that asks for little.
const Request = 128

// Written returns the work of formatting an event to that many bytes, and of
// copying them.
func Written(bytes int) int { return 1 + bytes/512 }
