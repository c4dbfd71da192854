// Package units reads and writes sizes, durations, moments and file modes as the
// configuration and the command line have them. What could be read in two ways,
// such as 64MB, is refused with a hint.
//
// [ParseTime] is our own. Of the parsers for Go, araddon/dateparse guesses between
// day and month, has not been released since 2021 and does not know "1 hour ago";
// tj/go-naturaldate reads words, but no RFC 3339, and takes anything that it does
// not know for now.
package units
