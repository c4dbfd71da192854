// Command bench measures the whole daemon from outside, and prints a table in
// Markdown:
//
//	sudo go run ./test/bench            # all of it, some five minutes
//	sudo go run ./test/bench -run latency,memory
//	sudo go run ./test/bench -svg docs/performance  # and draw what grows
//	sudo go run ./test/bench -profile /tmp -run pipeline && go tool pprof -top /tmp/cpu
//
// It needs root, for a network namespace of its own. There NETLINK_USERSOCK
// stands in for the audit group, so that records of every type can be sent, as
// fast as the kernel moves them, and the audit daemon of the machine is left
// alone. Everything that is measured runs in a process of its own: the sender,
// the daemon, the clients. CPU times are those the kernel accounts to the whole
// process, user and system, so nothing is hidden in a thread nobody looked at;
// they are given for each record, without the cost of the same process with no
// records.
//
// What is compared with what:
//
//   - floor: a loop of poll(2) and recvmmsg(2) that throws the data away. Nobody
//     can receive for less.
//   - relay: recvfrom(2) and write(2), which is how fast a record can get from one
//     process to another by way of a third.
//   - libaudit: go-libaudit's parser and encoding/json over the same records,
//     the usual way to write such a tool.
//   - laurel: where it is installed, the same records as text on its stdin.
//
// Runs that are compared take turns, and the least of them counts: on a machine
// that others use too, noise only adds.
package main
