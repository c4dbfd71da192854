// Package units reads and writes sizes, durations and file modes as the
// configuration and the command line have them. What could be read in two ways,
// such as 64MB, is refused with a hint.
package units
