// Package sink runs the readers of the spool that deliver somewhere.
package sink
