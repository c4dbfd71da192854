package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// The two ways to a daemon's start are apart by what the kernel and the daemon
// round to, and by the time from the start of the process to its first look at
// the clock: ten seconds were seen on an emulated machine.
const (
	largestDrift = 3 * time.Second
	slowestStart = time.Minute
)

// clockFacts are about the clock by which records are stamped.
type clockFacts struct {
	synced  known[bool]
	stepped time.Duration // by how much since the daemon started; 0 also if not known
}

// clockSynced asks whether somebody keeps the clock right (adjtimex(2)).
func clockSynced() (bool, error) {
	state, err := unix.Adjtimex(new(unix.Timex))
	return state != unix.TIME_ERROR, os.NewSyscallError("adjtimex", err)
}

func (s source) clock(daemon *api.Status, now time.Time) clockFacts {
	c := clockFacts{synced: know(s.synced())}
	if daemon == nil {
		return c
	}
	if begun, err := processStart(s.root, daemon.PID, now); err == nil {
		// What the daemon said was right by the clock of that time.
		if d := begun.Sub(daemon.Since); d > largestDrift || d < -slowestStart {
			c.stepped = d
		}
	}
	return c
}

// userHZ is the unit of times in /proc, one for all architectures but alpha
// (USER_HZ, asm-generic/param.h).
const userHZ = 100

// processStart returns when the process began, by the clock as it is now: from
// its starttime, in ticks since boot (proc_pid_stat(5)), and the time since boot
// (proc_uptime(5)). Slewing changes both, stepping neither.
func processStart(root string, pid int, now time.Time) (time.Time, error) {
	name, _ := processState(root, uint32(pid))
	if !(process{pid, name}).isOurs() {
		return time.Time{}, fmt.Errorf("process %d is %s: the daemon is in another pid namespace", pid, text.Name(name))
	}
	stat, err := os.ReadFile(filepath.Join(root, "proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return time.Time{}, err
	}
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	fields := strings.Fields(rest) // from the third on
	uptime, err := os.ReadFile(filepath.Join(root, "proc/uptime"))
	if err != nil {
		return time.Time{}, err
	}
	seconds, _, _ := strings.Cut(string(uptime), " ")
	up, err := time.ParseDuration(seconds + "s")
	if err != nil || len(fields) < 20 {
		return time.Time{}, fmt.Errorf("the start of process %d cannot be read", pid)
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return now.Add(time.Duration(ticks)*(time.Second/userHZ) - up), nil
}

// firstYear is before any kernel with IPE.
const firstYear = 2024

// checkClock looks whether times can be believed: those of records are the
// kernel's, and certificates are judged by them too.
func checkClock(f *facts) []Finding {
	const advice = "run a time service: systemctl enable --now systemd-timesyncd, or chrony"
	switch c := f.clock; {
	case f.now.Year() < firstYear:
		return failure(advice, "the clock says %s: stamps are wrong, and certificates are not valid yet", f.now.UTC().Format(time.DateOnly))
	case c.stepped != 0:
		return warning("mind it when you compare times; restarting the daemon marks the place",
			"the clock was set by %v since the daemon started: events from before have other times", c.stepped.Round(time.Second))
	case c.synced.err != nil:
		return cannotTell("whether the clock is kept right", "adjtimex(2)", c.synced.err)
	case !c.synced.value:
		return warning(advice, "no time service keeps the clock")
	}
	return ok("the clock is kept right")
}
