// Package match decides which events go to a sink, to a client of the feed or
// to a terminal.
//
// A [Matcher] is compiled once from a list of [Selection]. An event matches if
// any selection of the list does; the empty list, and the nil Matcher, match
// every event. Within one selection:
//
//   - All keys that are given must hold. One key holds if any of its values
//     does.
//   - An event that does not have the field does not match. So verdicts, ops,
//     hooks, paths, units, users and containers select accesses only, and paths none of the accesses to
//     anonymous memory.
//   - not holds another selection, read by these same rules, and is true for
//     an event that this inner selection does not match. So an event without
//     the field passes a not that asks for it: {verdicts: [denied], not:
//     {paths: ["/tmp/build/**"]}} matches a denied access to anonymous memory.
//     Like every key, not can only take away from its selection: {not: {events:
//     [access]}} is every event that is no access, those of the daemon included.
//     Several keys inside one not must hold together before they take an event
//     away; to take away either of two things, use a list with two values, or a
//     not inside the not.
//
// # Paths
//
// A value of paths is a glob for the whole path. Both are taken as slash
// separated components of characters; a byte that is not part of valid UTF-8
// counts as one character.
//
//   - any number of characters, also none, but no slash
//     ?       one character, but no slash
//     [a-z]   one character of the set; [!a-z] or [^a-z] one outside of it; no slash
//     **      as a component of its own: any number of whole components, also
//     none; as the last component: everything below, at least one component
//     \c      the character c itself
//
// So /tmp/build/** matches everything below /tmp/build, not /tmp/build itself,
// and /usr/**/*.so matches /usr/a.so and /usr/lib/x/a.so. A leading dot is a
// character like any other. The kernel's marks are part of the path: a deleted
// file needs a glob that ends in * or in " (deleted)".
//
// Globs that could match no path, or that would surprise, are errors: a first
// character other than /, ** or < (for <too_long>), ** as part of a component,
// and braces, which a list of paths replaces.
//
// # Who did it
//
// units and containers are patterns for whole names, in which * is any number of
// characters and ? one. A unit is that of the system's service manager or of the
// user's. A user is a number, or the name of one of this host, which is looked up
// when the selection is compiled: it is who logged in, who asked, or as whom the
// process acts (auid, uid, euid).
//
// # Cost and ownership
//
// Match does not allocate, keeps nothing of the event, and may be called from
// several goroutines. Its time is bounded by the product of the lengths of glob
// and path, however many wildcards there are.
//
// The package refuses regular expressions, and to select by anything that is
// not in the event.
package match
