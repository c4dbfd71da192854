package fileprops

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Measurer looks at objects on this host.
type Measurer struct {
	Zone *time.Location // of times in what it says; nil for the local one

	root   string // before /proc and /sys: a test's directory, or empty
	table  func(device uint64) (target, parameters string, err error)
	booted func() time.Time
}

// New returns a Measurer for this host.
func New() *Measurer { return &Measurer{table: deviceTable, booted: bootTime} }

// Measure finds out what the object is now.
func (m *Measurer) Measure(o Object) Result {
	r := m.measure(&o)
	if r.Facts.DMVerityRootHash.Has == policy.True && before(o.Time, m.booted()) {
		r.Facts.DMVerityRootHash, r.Facts.DMVeritySignature = policy.DigestFact{}, policy.Unknown
		why := text.Name(o.Dev) + " may be another volume: the host was booted since"
		r.why[policy.DMVerityRootHash], r.why[policy.DMVeritySignature] = why, why
	}
	r.learn(o.Held)
	return r
}

// before reports whether a record is from before a boot.
func before(judged int64, booted time.Time) bool {
	const slack = 10 * time.Second // the clock is set while a host boots
	return judged != 0 && time.UnixMilli(judged).Before(booted.Add(-slack))
}

// bootTime returns when the host was booted.
func bootTime() time.Time {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}

func (m *Measurer) measure(o *Object) Result {
	var r Result
	if o.NoFile {
		r.State, r.Facts, r.Reason = StateNoFile, policy.NoFile(), "there was no file"
		return r
	}
	m.superBlock(&r, o.Dev)
	switch {
	case o.Dev == "overlay":
		r.State, r.Reason = StateOverlay, r.why[policy.FSVerityDigest]
		return r
	case !named(o.Path):
		r.Reason = "the record does not tell the file's path"
		return r
	case o.Dev == "" || o.Ino == 0:
		r.Reason = "the record does not tell which file it was, only its path"
		return r
	}
	m.find(&r, o)
	return r
}

// find looks for the file where the record says, first as seen from here.
func (m *Measurer) find(r *Result, o *Object) {
	here, err := unix.Open(o.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	r.State, r.Reason, r.Err = m.look(r, o, here, err, "self")
	if err == nil {
		unix.Close(here)
	}
	if r.State == StateMeasured {
		r.Path = o.Path
	}
	if r.State != StateGone && r.State != StateOther {
		return
	}
	if o.PID > 0 && m.findInside(r, o) {
		return
	}
	if path, ok := strings.CutSuffix(o.Path, deletedSuffix); ok && r.State == StateGone {
		r.State, r.Reason = StateDeleted, "the file was deleted before it was judged: "+text.Name(path)
	}
}

// findInside looks for the file from the root directory of the process, which
// may be a container. That the process is not another one by now does not
// matter: the file has to be the same.
func (m *Measurer) findInside(r *Result, o *Object) bool {
	pid := strconv.FormatUint(o.PID, 10)
	name := m.root + "/proc/" + pid + "/root"
	root, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	inside, err := unix.Openat2(root, o.Path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(inside)
	found := Result{Facts: r.Facts, why: r.why}
	if found.State, found.Reason, found.Err = m.look(&found, o, inside, nil, pid); found.State == StateGone || found.State == StateOther {
		return false
	}
	found.Path = "/proc/" + pid + "/root" + o.Path
	*r = found
	return true
}

// tick is how much earlier than a file's time the time of a record may be: the
// kernel reads the two from clocks that tick differently.
const tick = 20 * time.Millisecond

// look compares the file with the record and, when it is the same, asks it. fd
// is one of open(2) with O_PATH, or err its error. process is whose mounts the
// file belongs to.
func (m *Measurer) look(r *Result, o *Object, fd int, err error, process string) (State, string, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return StateGone, "nothing is at " + text.Name(o.Path) + ", as seen from here", nil
	case err != nil:
		return StateUnreadable, fmt.Sprintf("open %s: %v", text.Name(o.Path), err), err
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &st); err != nil {
		return StateUnreadable, fmt.Sprintf("statx %s: %v", text.Name(o.Path), err), err
	}
	if st.Ino != o.Ino {
		return StateOther, fmt.Sprintf("another file is at %s: ino=%d, not ino=%d, as seen from here", text.Name(o.Path), st.Ino, o.Ino), nil
	}
	dev, err := m.superBlockOf(&st, process)
	switch {
	case err != nil:
		return StateUnreadable, fmt.Sprintf("on which device %s is cannot be found out: %v", text.Name(o.Path), err), err
	case dev != o.Dev:
		return StateOther, fmt.Sprintf("another file is at %s: dev=%s, not dev=%s, as seen from here", text.Name(o.Path), text.Name(dev), text.Name(o.Dev)), nil
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return StateOther, text.Name(o.Path) + " is no regular file", nil
	}
	judged := time.UnixMilli(o.Time).Add(tick)
	for _, change := range []struct {
		mask uint32
		at   unix.StatxTimestamp
		what string
	}{{unix.STATX_BTIME, st.Btime, "made"}, {unix.STATX_MTIME, st.Mtime, "written"}} {
		at := time.Unix(change.at.Sec, int64(change.at.Nsec))
		if o.Time != 0 && st.Mask&change.mask != 0 && at.After(judged) {
			return StateChanged, fmt.Sprintf("%s was %s after it was judged, at %s", text.Name(o.Path), change.what, text.Time(at.UnixMilli(), m.Zone)), nil
		}
	}
	if err := m.ask(r, fd); err != nil {
		return StateUnreadable, fmt.Sprintf("open %s: %v", text.Name(o.Path), err), err
	}
	return StateMeasured, "", nil
}

// ask asks the file for what fs-verity knows of it.
func (m *Measurer) ask(r *Result, path int) error {
	if r.Known(policy.FSVerityDigest) && r.Known(policy.FSVeritySignature) {
		r.Verity = VerityUnsupported // by its file system
		return nil
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	digest, err := fileDigest(fd)
	switch {
	case err == nil:
		r.Verity = VerityEnabled
		r.Facts.FSVerityDigest = policy.DigestFact{Has: policy.True, Digest: digest}
	case errors.Is(err, unix.ENODATA):
		r.Verity = VerityOff
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EOPNOTSUPP):
		r.Verity = VerityUnsupported
	default:
		r.why[policy.FSVerityDigest] = fmt.Sprintf("FS_IOC_MEASURE_VERITY: %v", err)
		r.why[policy.FSVeritySignature] = r.why[policy.FSVerityDigest]
		return nil
	}
	if r.Verity != VerityEnabled {
		r.Facts.FSVerityDigest.Has, r.Facts.FSVeritySignature = policy.False, policy.False
		return nil
	}
	// Without the sysctl the kernel was built without built-in signatures, and
	// then IPE knows neither value of the property.
	if !m.exists("/proc/sys/fs/verity/require_signatures") {
		r.why[policy.FSVeritySignature] = "this kernel verifies no built-in signatures"
		return nil
	}
	// A file whose signature the kernel could not verify cannot be opened
	// (fsverity_verify_signature in fs/verity/signature.c).
	signed, err := hasSignature(fd)
	if err != nil {
		r.why[policy.FSVeritySignature] = fmt.Sprintf("FS_IOC_READ_VERITY_METADATA: %v", err)
		return nil
	}
	r.Facts.FSVeritySignature = policy.TruthOf(signed)
	return nil
}
