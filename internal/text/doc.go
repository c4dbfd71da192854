// Package text words what messages, lines and pages have in common, so that the
// same thing reads the same everywhere, and what is read in one place can be
// copied into another: a moment, a span of time, a number of things, a path, an
// object, a host, a policy, a verdict. What others chose comes out of it escaped.
//
// Sizes and durations that people write are read and written by package units.
package text
