// Package schema reads the configuration: a YAML tree into values, with everything
// that is wrong with it told at its line and column, all of it at once.
//
// A mapping is described by its [Keys]; each key by the function that reads it,
// such as [Decoder.Size] with its limits, and texts by their [Check]s. Only such
// YAML is taken as a configuration needs: no anchors, tags or merge keys.
//
// The package knows no key of the configuration. Those of all sections are in
// package config, those of a sink in the folder of its type.
package schema
