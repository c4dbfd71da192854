// Command ipe-auditd listens to the kernel's audit socket for the events of
// Integrity Policy Enforcement, and delivers them to sinks.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
