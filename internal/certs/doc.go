// Package certs reads the certificates of a client of TLS from files: who is
// trusted, and as whom it shows itself.
//
// It keeps nothing, so that a file that was replaced counts from the next
// connection on. TLS 1.2 is the oldest version that is spoken.
package certs
