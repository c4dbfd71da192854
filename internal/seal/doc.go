// Package seal makes the past checkable: what a daemon recorded cannot be altered or
// removed afterwards without being found out by whoever has a later checkpoint.
//
// The events of a spool id are the leaves of a Merkle tree (RFC 6962), that of seq n
// at index n-1. A [Sealer] reads the spool like a sink, and puts checkpoints of the
// tree into the stream, signed in the C2SP form ([Checkpoint]), which other people's
// tools can read; they are events, and so leaves of the tree themselves. A [Verifier]
// compares events with the checkpoints among them, or with others.
//
// # What a leaf is
//
// A leaf is over what every JSON line carries, so that a file needs no raw to be
// checked: all keys but host, which the note has, and prev_seq, which is of a sink.
// A second part is over the text of the record, for lines with raw, and a third over
// the keys that say who asked, which are found out beside the record: where they come
// too late they may differ from sink to sink, so a difference there is told, and
// neither called altered nor unaltered. A checkpoint carries the leaves since the one before, which its root vouches
// for: so each event can be checked alone, one that was altered is named, and a file
// with holes can be checked where it has none. It also carries the edge of the tree
// before them, so that none of the earlier events is needed.
//
// What the spool had lost when it was to be sealed is a leaf of zeros.
//
// # What it refuses to do
//
// It does not say that a record was true, or that the kernel made one. It does not
// defend against who has the private key: root of the host can sign anything from
// then on, but cannot take back the checkpoints that others have. It does not send
// them anywhere: sinks do.
//
// # Goroutines and memory
//
// A Sealer and a Verifier are for one goroutine each. A Sealer is a reader of the
// spool like others and keeps 48 bytes for each event since the last checkpoint.
package seal
