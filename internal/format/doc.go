// Package format encodes events: append-style, without allocations.
package format
