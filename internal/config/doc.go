// Package config reads the daemon's configuration: one YAML file and its
// drop-ins, strictly.
//
// Strict means that whatever is not understood is an error: unknown and
// duplicate keys, values of the wrong type, keys that do not belong to the type
// of a sink, combinations that cannot work. All such errors of all files are
// reported together, each with file, line, column, the line itself and what to
// do about it. What can work but probably should not is a warning.
//
// Files are merged in order: the main file, then the drop-ins conf.d/*.yaml
// beside it in lexical order of their names. A value of a later file replaces
// that of an earlier one, key by key. Sinks of a later file are added to the
// list; one that names an existing sink takes its place, whole. No file can
// remove a sink.
//
// The package refuses files that somebody else could have written: those
// writable by group or others, and those owned by neither root nor the user of
// the daemon. Of YAML it refuses what a configuration does not need: several
// documents, anchors, aliases, merge keys and tags. It looks at nothing outside
// of these files: whether a group exists, a host resolves or a certificate can
// be read is found out by those who use them.
//
// Configurations are plain data, owned by the caller. Nothing in them refers to
// the text they were read from, and the package keeps nothing.
package config
