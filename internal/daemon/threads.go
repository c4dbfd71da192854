package daemon

import (
	"os"
	"runtime"
)

// maxProcs is how many processors a daemon that listens may keep busy: one to
// receive, one for everything else.
const maxProcs = 2

// LimitThreads makes the Go runtime of this process use no more processors than
// a daemon that listens has a use for, unless the environment says how many
// (GOMAXPROCS). A sink that cannot keep pace in a flood catches up from the
// spool; an attacker who causes one does not get the whole machine for it. And
// the fewer threads there are, the fewer of them look for work at each event:
// at 1000 events a second a daemon with two takes three quarters of the CPU time
// of one with four.
//
// It is for main: it changes the whole process.
func LimitThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), maxProcs))
	}
}
