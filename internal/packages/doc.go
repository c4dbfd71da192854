// Package packages asks the package manager of this host, dpkg or rpm, which package
// a file is of.
//
// It runs their query programs, each path once, and gives up altogether when they
// take longer than a person waits: an answer is a help, and none is no error.
package packages
