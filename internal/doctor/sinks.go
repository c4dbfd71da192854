package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
)

const (
	// reachPatience is how long a receiver gets to answer.
	reachPatience = 5 * time.Second

	// lagIsLong is how far behind a sink may be, though nothing fails.
	lagIsLong = time.Minute
)

// sinkFacts is what trying a sink said.
type sinkFacts struct {
	config config.Sink
	found  Finding
}

// trySinks tries every sink, all at once.
func (f *facts) trySinks(ctx context.Context) []sinkFacts {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	sinks := f.wantedSinks()
	tried := make([]sinkFacts, len(sinks))
	var wg sync.WaitGroup
	for i, s := range sinks {
		wg.Go(func() { tried[i] = sinkFacts{s, f.try(ctx, &s)[0]} })
	}
	wg.Wait()
	return tried
}

// wantedSinks returns the sinks of the configuration. When it names none and a
// daemon runs, that one knows which default it took.
func (f *facts) wantedSinks() []config.Sink {
	switch {
	case f.Config == nil:
		return nil
	case f.Config.Sinks != nil:
		return f.Config.Sinks
	case f.Daemon == nil:
		return config.DefaultSinks(true)
	}
	var sinks []config.Sink
	for _, service := range []bool{true, false} {
		for _, s := range config.DefaultSinks(service) {
			if f.sinkStatus(s.Name) != nil {
				sinks = append(sinks, s)
			}
		}
	}
	return sinks
}

// sinkStatus returns what the daemon says of a sink, or nil.
func (f *facts) sinkStatus(name string) *api.Sink {
	if f.Daemon == nil {
		return nil
	}
	if i := slices.IndexFunc(f.Daemon.Sinks, func(s api.Sink) bool { return s.Name == name }); i >= 0 {
		return &f.Daemon.Sinks[i]
	}
	return nil
}

// checkSinks says how each sink fares: what the daemon says of it goes before
// what trying it said.
func checkSinks(f *facts) []Finding {
	var found []Finding
	named := func(name string, finding Finding) {
		finding.Name = name
		found = append(found, finding)
	}
	for _, s := range f.sinks {
		st := f.sinkStatus(s.config.Name)
		switch {
		case f.Daemon == nil:
			named(s.config.Name, s.found)
		case st == nil:
			named(s.config.Name, warning("systemctl reload ipe-auditd, or name its configuration with --config", "the running daemon does not have this sink")[0])
		default:
			named(s.config.Name, judgeSink(st, s.found))
		}
	}
	if f.Daemon != nil {
		for _, st := range f.Daemon.Sinks {
			if !slices.ContainsFunc(f.sinks, func(s sinkFacts) bool { return s.config.Name == st.Name }) {
				named(st.Name, notConfigured(f, &st))
			}
		}
	}
	switch {
	case len(found) > 0:
		return found
	case f.Config == nil:
		return cannotTell("whether sinks can be reached", "a configuration that is good", nil)
	}
	return failure("configure one", "there is no sink: events are kept in the spool and delivered to nobody")
}

// notConfigured is about a sink that only the daemon knows.
func notConfigured(f *facts, st *api.Sink) Finding {
	finding := judgeSink(st, ok("the daemon delivers to it")[0])
	if finding.Status == OK && f.Config != nil {
		return warning("systemctl reload ipe-auditd, or name its configuration with --config", "the running daemon has this sink, the configuration does not")[0]
	}
	return finding
}

// judgeSink puts together what the daemon says and what trying said.
func judgeSink(st *api.Sink, tried Finding) Finding {
	lag := time.Duration(st.LagSeconds * float64(time.Second)).Round(time.Second)
	switch {
	case st.State == "retrying":
		advice := tried.Advice
		if tried.Status == OK {
			advice = "it can be reached from here, so look at the sandbox of the service: the drop-ins network.conf, exec.conf and group.conf open it; journalctl -u ipe-auditd says more"
		}
		return failure(advice, "fails since %s: %s", st.Since.Format(time.RFC3339), st.LastError)[0]
	case st.State == "stopped":
		return failure("restart the daemon", "has stopped: %s", st.LastError)[0]
	case tried.Status == Failure:
		return tried
	case lag >= lagIsLong:
		return warning("find out why it is slow", "is %d events and %v behind", st.LagEvents, lag)[0]
	case st.Overwritten > 0:
		return warning("find out why it was slow, or enlarge spool.size", "has missed %d events, which the spool had to give up", st.Overwritten)[0]
	case tried.unknown:
		return ok("the daemon delivers to it")[0]
	}
	return tried
}

// try finds out whether a sink can be reached, without delivering anything. It
// returns one finding.
func (f *facts) try(ctx context.Context, s *config.Sink) []Finding {
	if s.Type == config.TypeConsole {
		return ok("writes to the standard output of the daemon")
	}
	if f.account.err != nil {
		return cannotTell("as whom the service runs", "the right to look at its process", f.account.err)
	}
	switch s.Type {
	case config.TypeFile:
		return tryFile(f.account.value, s.File)
	case config.TypeJournald:
		return tryJournald(ctx, f.root)
	case config.TypeSyslog:
		return trySyslog(ctx, f.account.value, s.Syslog)
	case config.TypeExec:
		return tryCommand(f.account.value, s.Exec.Command[0])
	}
	return cannotTell("whether it can be reached", "a newer doctor: sinks of type "+s.Type+" are not known to this one", nil)
}

// tryFile looks whether the file, or one beside it, could be written.
func tryFile(user account, c *config.File) []Finding {
	dir := filepath.Dir(c.Path)
	if err := knownGroup(c.Group); err != nil {
		return failure("make the group, or correct the key group", "%s cannot be made: %v", c.Path, err)
	}
	switch err := user.may(unix.W_OK|unix.X_OK, dir); {
	case errors.Is(err, errOtherUser):
		return cannotTell("whether the service may write to "+dir, "root", nil)
	case errors.Is(err, fs.ErrNotExist):
		return failure("make it, with the user of the service as its owner: install -d -m 0750 -o "+user.String()+" "+dir, "the folder %s is not there", dir)
	case err != nil:
		return failure("give it to the user of the service", "%v may not write to the folder: %v", user, err)
	}
	info, err := os.Lstat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It is made.
	case err != nil:
		return cannotTell("how "+c.Path+" stands", "the right to look into the folder", err)
	case !info.Mode().IsRegular():
		return failure("move it away, or give the sink another path", "%s is there, and is not a regular file", c.Path)
	default:
		if err := user.may(unix.R_OK|unix.W_OK, c.Path); err != nil {
			return failure("give it to the user of the service", "%v may not write to the file: %v", user, err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil && st.Bavail == 0 {
		return failure("make room; until then its events wait in the spool", "the disk of %s is full", dir)
	}
	return ok("%v may write to %s", user, c.Path)
}

func tryJournald(ctx context.Context, root string) []Finding {
	path := filepath.Join(root, journald.DefaultPath)
	s := journald.New(path)
	err := s.Open(ctx)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("whether journald can be reached", "the right to connect to "+path, err)
	case err != nil:
		return failure("systemctl start systemd-journald.socket, or choose another type of sink", "journald cannot be reached: %v", err)
	}
	_ = s.Close()
	return ok("journald can be reached")
}

func trySyslog(ctx context.Context, user account, c *config.Syslog) []Finding {
	for _, file := range []string{c.CA, c.Cert, c.Key} {
		if file == "" {
			continue
		}
		switch err := user.may(unix.R_OK, file); {
		case errors.Is(err, errOtherUser):
			return cannotTell("whether the service may read "+file, "root", nil)
		case err != nil:
			return failure("let the user of the service read it", "%v may not read a certificate or key: %v", user, err)
		}
	}
	s, err := syslog.New(syslog.Options{Network: c.Network, Address: c.Target, CA: c.CA, Cert: c.Cert, Key: c.Key})
	if err == nil {
		err = s.Probe(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("whether "+c.Address+" can be reached", "the right to connect to it, and to read its certificates", err)
	case err != nil:
		return failure("see whether the receiver runs, its name resolves, no firewall is between, and certificates fit", "%v", err)
	case c.Network == config.NetworkUDP:
		return ok("there is a way to %s; nobody can tell whether it listens", c.Address)
	case c.Network != config.NetworkUnix && c.MaxMessage > config.UsualMessage:
		return warning(fmt.Sprintf("make sure that it takes %d octets (rsyslog: maxMessageSize, syslog-ng: log-msg-size), or set max_message to %d or less", int64(c.MaxMessage), int64(config.UsualMessage)),
			"%s accepts connections, but max_message is more than receivers take unless they are told to: what one cuts off may become a log line of its own", c.Address)
	}
	return ok("%s accepts connections", c.Address)
}

// tryCommand looks whether the command of a sink can be executed. Whether IPE
// would let it run cannot be asked without an event.
func tryCommand(user account, command string) []Finding {
	info, err := os.Stat(command)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("whether "+command+" can be executed", "the right to look into its folder", err)
	case err != nil:
		return failure("install it, or correct the key command", "%v", err)
	case !info.Mode().IsRegular():
		return failure("correct the key command", "%s is not a regular file", command)
	}
	switch err := user.may(unix.X_OK, command); {
	case errors.Is(err, errOtherUser):
		return cannotTell("whether the service may execute "+command, "root", nil)
	case err != nil:
		return failure("make it executable for the user of the service", "%v may not execute the command: %v", user, err)
	case info.Mode().Perm()&0o022 != 0:
		return warning(fmt.Sprintf("chmod go-w %s", command), "%s has mode %04o: others may change what the daemon executes", command, info.Mode().Perm())
	}
	return ok("%v may execute %s", user, command)
}
