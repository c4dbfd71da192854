// Package api is what a running daemon says to programs of this host: the feed
// of events, its status and its metrics, by HTTP on one unix socket.
//
//	GET /events    events as JSON lines or text, from any place in the spool on
//	GET /status    the Status as JSON
//	GET /metrics   the same numbers in the text format of Prometheus
//	GET /healthz   200 when the daemon is well, 503 and the reasons when not
//
// The mode and the group of the socket say who may read; who may connect may
// read everything. There is nothing that could be written: requests with a body
// and methods other than GET and HEAD are refused.
//
// # The feed
//
// Every stream is a reader of the spool of its own, so it has history, and a
// client that is slow or has stopped holds up nobody. Parameters of /events:
//
//	after=SPOOL:SEQ   begin behind this event, the last one that was dealt with
//	since=10m|TIME    begin with what was received since then (TIME as in RFC 3339)
//	last=N            begin with the last N events that match; 0 for none of them
//	follow=true       go on with what happens; without, the stream ends with the
//	                  newest event there was when it began
//	events= verdicts= ops= hooks= paths=   only these, as in a match of the
//	                  configuration; values by comma (\, is none), or the key again:
//	                  at most 64 of each, and of paths and not.paths together 32
//	                  globs with 128 wildcards
//	not.events= …     but not these
//	coalesce=10s      send the first access of a kind, and count those like it for
//	                  so long: one event "repeated" then says how many there were
//	format=json       or text, or colour (text for a terminal), or spool: see below
//	raw=true          add the record text as received
//	cursor=true       begin every line with SPOOL:SEQ and a blank, the place to go
//	                  on behind it; a line of nothing else says that everything
//	                  up to there was looked at
//
// Without after, since and last a stream begins with the oldest event kept: by
// default nothing is left out. What a stream missed because it was overwritten
// comes as an event "lost" of stage "spool" without an identity, whatever the
// stream selects. A stream that ends in the middle of a chunk (curl: exit status
// 18) was ended by an error; go on with after=.
//
// # Entries
//
// With format=spool the stream has the entries of the spool as they are: type, time
// of receipt and record as the kernel sent it, with spool id, sequence number and
// boot, the attachments of events, the policies that contexts stand for, the name
// of the host, and what the reader missed. Whoever reads it decodes by itself
// ([Client.Entries] and package entry), which costs less than JSON, loses nothing,
// and reads what an older daemon received with a newer decoder. The form is binary,
// has a version and is written down in frames.go. Its last frame says that it is
// complete: a stream without it was cut, which is an error for the reader. All
// parameters work but coalesce, and raw and cursor, whose answers the entries have anyway;
// without any that selects, entries come too that are no events.
//
// # What a client can do to others
//
// At most [MaxClients] streams run at once; more are answered 503, but for eight of
// root and of the daemon's own user. Of twice as many connections, those go first
// that have been waiting longest for their request, of the user who has most of
// these; so a member of the group who opens thousands keeps out only himself. A
// user may make 2000 connections at once and then 1000 a second.
// (netutil.LimitListener of golang.org/x/net was tried: it lets everybody wait in
// the queue of the socket while 128 connections that ask for nothing are open,
// which is five seconds for each; a health check behind a thousand of them took 35
// s, and nobody was told 503.) A request has to arrive in 5 s and has at most some
// kilobytes; a client that takes nothing for 30 s is disconnected. All that a
// client holds is a reader, 32 KiB to 64 KiB of lines, and its buffer in the
// kernel.
//
// What a client can make the daemon compute is computed at one of the places of
// [Options.Share]: to take connections, to read parameters, to look for where a
// stream begins, to pass over what it does not want, to format the rest, and to ask
// for the status. So all clients together take no more of the processors than that,
// and get no more done than the sinks while those want something. Beside it there
// are the writes, of which each comes after a turn, and what net/http does for a
// request. While a client is waited for it has no place.
//
// # What it refuses to do
//
// It does not listen on a network and knows no users or passwords, so it is not
// for other hosts: that is what sinks are for. It takes no commands.
//
// # Memory
//
// A stream formats from the spool's memory into a buffer of its own, and keeps
// nothing of an event, but with coalesce= up to 256 KiB of what it counts. A Status that is given to a Server is the Server's.
package api
