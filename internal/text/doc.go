// Package text words what messages have in common, so that the same thing reads
// the same everywhere.
package text
