// Package report sums up a history for an operator: the timeline of policies,
// modes and losses, and the distinct denials and would-be denials with how
// often, since when, by whom, and by which rule of which policy.
//
// A [Report] takes events one by one and can be written at any time, as one
// screen of text or as one JSON object with everything that is kept.
//
// The events are those of one host after the other. Of several hosts every one is
// counted by itself, and the distinct denials are put together.
//
// # What it refuses to do
//
// It does not grow with what it is told: an attacker chooses paths and names.
// [Groups] keep a bounded number of kinds in bounded memory and give up the
// least of them, the timeline gives up its oldest entries, and both count what
// was given up, which every form of the report says.
//
// It judges nothing: whether enforcement may be switched on is for package
// readiness to say.
//
// # Memory
//
// Of each host some 350 bytes of JSON are kept. Everything that is kept is copied
// from the events.
package report
