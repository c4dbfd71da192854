// Package tally counts what happened, for every command that answers questions
// about the past: accesses by their kind, what was lost, what was not read. How
// much of that an answer shows, and what it makes of it, is for the commands to
// say (packages report, readiness, suggest).
//
// # What it refuses to do
//
// It does not grow with what it is told: an attacker chooses paths and names.
// [Groups] keep a bounded number of kinds in bounded memory, give up the least of
// them, and count what was given up.
//
// # Memory
//
// Everything that is kept is copied from the events.
package tally
