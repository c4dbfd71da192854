package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// roles are what a child can be.
var roles = map[string]func() error{
	"send":     send,
	"floor":    floor,
	"receive":  receive,
	"keep":     keep,
	"daemon":   runDaemon,
	"libaudit": runLibaudit,
	"follow":   follow,
	"relay":    relay,
	"attack":   attack,
	"report":   sumUp,
}

// text is the record number n of an ordinary denial. The path holds the time
// of sending where latency is measured.
func text(dst []byte, n int, path string) []byte {
	dst = append(dst, "audit(1795440701."...)
	dst = append(dst, byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10), ':')
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, "): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid="...)
	dst = strconv.AppendInt(dst, int64(1000+n%30000), 10)
	dst = append(dst, ` comm="labtool" path="`...)
	dst = append(dst, path...)
	return append(dst, `" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`...)
}

// now is CLOCK_MONOTONIC in nanoseconds, the same for all processes.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// send sends n records of a type to the group, rate of them in a second or,
// where that is 0, as fast as the kernel takes them. With stamp their path is
// the time of sending. Between two it sleeps as the kernel's own thread does
// (kauditd): the processor is free for whoever was woken, at once. With nice it
// keeps the rate while others want the processors.
func send() error {
	s, err := audittest.Here()
	if err != nil {
		return err
	}
	defer s.Close()
	if nice := number("nice"); nice != 0 {
		runtime.LockOSThread() // the priority is that of a thread
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
			return os.NewSyscallError("setpriority", err)
		}
	}
	say("ready")
	n, rate, typ, stamp := number("n"), number("rate"), uint16(number("type")), param("stamp") != ""
	begin := now()
	var record []byte
	path := "/tmp/true"
	for i := range n {
		if rate > 0 {
			sleepUntil(begin + int64(i)*int64(time.Second)/int64(rate))
		}
		if stamp {
			path = strconv.FormatInt(now(), 10)
		}
		record = text(record[:0], i, path)
		if err := s.Multicast(typ, unsafe.String(&record[0], len(record))); err != nil {
			return err
		}
	}
	say("%d", now()-begin)
	return nil
}

// sleepUntil sleeps until that time of CLOCK_MONOTONIC, without the runtime's
// knowledge: its way of sleeping takes part of a processor.
func sleepUntil(ns int64) {
	ts := unix.NsecToTimespec(ns)
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != unix.EINTR {
			return
		}
	}
}

// spent says to the parent what the function cost in CPU time.
func spent(f func() error) error {
	before := selfCPU()
	if err := f(); err != nil {
		return err
	}
	say("%d", selfCPU()-before)
	return nil
}

func selfCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// floor takes n messages off the socket with as little as can be, and throws
// them away.
func floor() error {
	type mmsghdr struct {
		hdr unix.Msghdr
		_   uint32 // length of what was received
		_   [4]byte
	}
	const batch, slot = 64, 16 << 10
	var msgs [batch]mmsghdr
	var iovs [batch]unix.Iovec
	bufs := make([]byte, batch*slot)
	for i := range msgs {
		iovs[i].Base = &bufs[i*slot]
		iovs[i].SetLen(slot)
		msgs[i].hdr.Iov, msgs[i].hdr.Iovlen = &iovs[i], 1
	}
	say("ready")
	return spent(func() error {
		poll := []unix.PollFd{{Fd: 4, Events: unix.POLLIN}}
		for n := number("n"); n > 0; {
			got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, 4, uintptr(unsafe.Pointer(&msgs)), batch, unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				n -= int(got)
			case unix.EAGAIN:
				_, _ = unix.Poll(poll, -1)
			default:
				return os.NewSyscallError("recvmmsg", errno)
			}
		}
		return nil
	})
}

// receive does the same with pkg/netlinkaudit.
func receive() error {
	c, err := netlinkaudit.FileConn(socket(), &netlinkaudit.Config{Types: ipe.Types(), Coalesce: time.Millisecond, Protocol: audittest.Protocol})
	if err != nil {
		return err
	}
	defer c.Close()
	say("ready")
	return spent(func() error {
		for n := number("n"); n > 0; {
			msgs, err := c.Receive()
			if err != nil {
				return err
			}
			n -= len(msgs)
		}
		return nil
	})
}

// keep does what the daemon's receiver does with what it receives: it classifies
// the records and appends IPE's to a spool on disk. It has one processor for
// that, so that what it costs is work, and no looking for it; writing the disk is
// part of it.
func keep() error {
	runtime.GOMAXPROCS(1)
	c, err := netlinkaudit.FileConn(socket(), &netlinkaudit.Config{Types: ipe.Types(), Coalesce: time.Millisecond, Protocol: audittest.Protocol})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := spool.Open(spool.Options{Dir: param("dir"), Size: 1 << 30})
	if err != nil {
		return err
	}
	defer s.Close()
	say("ready")
	return spent(func() error {
		var records []spool.Record
		for n := number("n"); n > 0; {
			msgs, err := c.Receive()
			if err != nil {
				return err
			}
			records = records[:0]
			for i := range msgs {
				if msg := &msgs[i]; ipe.Classify(msg.Type, msg.Data) == ipe.ClassIPE {
					records = append(records, spool.Record{Type: msg.Type, Time: 1, Data: msg.Data})
				}
			}
			s.Append(records)
			n -= len(msgs)
		}
		return nil
	})
}

// runDaemon is the daemon, with a configuration from the parent, on the stand-in.
func runDaemon() error {
	if dir := param("profile"); dir != "" {
		stop, err := profile(dir)
		if err != nil {
			return err
		}
		defer stop()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, _, err := config.Load(param("config"))
	if err != nil {
		return err
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.ErrorLevel))
	if err != nil {
		return err
	}
	o := daemon.Options{
		Version: "bench", Config: cfg, Log: log, Protocol: audittest.Protocol,
		Console: daemon.Console{Out: os.Stdout},
		Notify: func(state string) {
			if strings.HasPrefix(state, "READY=1") {
				say("ready")
			}
		},
	}
	if param("input") == "" {
		daemon.LimitThreads()
	}
	if param("socket") != "" {
		o.Inherited.Audit = socket()
	}
	if name := param("input"); name != "" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		o.Input, o.InputName = f, name
		say("ready")
	}
	if err := daemon.Run(ctx, o); err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	return nil
}

// profile begins to write the profiles cpu, allocs and block into a folder, and
// returns what ends that.
func profile(dir string) (stop func(), err error) {
	cpu, err := os.Create(filepath.Join(dir, "cpu"))
	if err != nil {
		return nil, err
	}
	runtime.SetBlockProfileRate(int(time.Microsecond))
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		cpu.Close()
		for _, name := range []string{"allocs", "block"} {
			if f, err := os.Create(filepath.Join(dir, name)); err == nil {
				_ = pprof.Lookup(name).WriteTo(f, 0)
				f.Close()
			}
		}
	}, nil
}
