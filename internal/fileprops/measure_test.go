package fileprops

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// object makes a file and returns it as a record of now would name it.
func object(t *testing.T, path string) Object {
	t.Helper()
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	return objectAt(t, path)
}

func objectAt(t *testing.T, path string) Object {
	t.Helper()
	var st unix.Statx_t
	if _, err := os.Stat("/sys/dev/block"); err != nil {
		t.Skipf("needs /sys, to learn the names of devices: %v", err)
	}
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		t.Fatal(err)
	}
	dev, err := New().superBlockOf(&st, "self")
	if err != nil {
		t.Fatal(err)
	}
	return Object{Path: path, Dev: dev, Ino: st.Ino, Time: time.Now().UnixMilli()}
}

func TestMeasureFindsTheFileOfTheRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, o *Object)
		state  State
		reason string // part of it
	}{
		{"the same", func(*testing.T, *Object) {}, StateMeasured, ""},
		{"gone", func(t *testing.T, o *Object) { must(t, os.Remove(o.Path)) }, StateGone, "nothing is at"},
		{"below a file", func(t *testing.T, o *Object) { o.Path += "/x" }, StateGone, "nothing is at"},
		{"deleted before", func(t *testing.T, o *Object) { o.Path += " (deleted)" }, StateDeleted, "deleted before it was judged"},
		{"another inode", func(t *testing.T, o *Object) { o.Ino++ }, StateOther, "not ino="},
		{"another device", func(t *testing.T, o *Object) { o.Dev = "vdz9" }, StateOther, "not dev=vdz9"},
		{"written since", func(t *testing.T, o *Object) { must(t, os.Chtimes(o.Path, time.Time{}, time.Now().Add(time.Hour))) }, StateChanged, "was written after"},
		{"made since", func(t *testing.T, o *Object) {
			must(t, os.Chtimes(o.Path, time.Time{}, time.Unix(1, 0)))
			o.Time = 2000
		}, StateChanged, "was made after"},
		{"a link to it", func(t *testing.T, o *Object) {
			must(t, os.Rename(o.Path, o.Path+".real"))
			must(t, os.Symlink(o.Path+".real", o.Path))
		}, StateOther, "not ino="},
		{"a pipe", func(t *testing.T, o *Object) {
			must(t, os.Remove(o.Path))
			must(t, unix.Mkfifo(o.Path, 0o600))
			*o = objectAt(t, o.Path)
		}, StateOther, "no regular file"},
		{"no path", func(t *testing.T, o *Object) { o.Path = "" }, StateUnknown, "does not tell the file's path"},
		{"path too long to print", func(t *testing.T, o *Object) { o.Path = "<too_long>" }, StateUnknown, "does not tell the file's path"},
		{"no inode", func(t *testing.T, o *Object) { o.Ino = 0 }, StateUnknown, "only its path"},
		{"overlay", func(t *testing.T, o *Object) { o.Dev = "overlay" }, StateOverlay, "below an overlay"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := object(t, filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "\x1b")))
			tt.change(t, &o)
			r := New().Measure(o)
			if r.State != tt.state || !strings.Contains(r.Reason, tt.reason) || (r.Reason == "") != (tt.reason == "") {
				t.Errorf("got %v, %q, want %v, %q", r.State, r.Reason, tt.state, tt.reason)
			}
			if strings.Contains(r.Reason, "\x1b") {
				t.Errorf("raw control byte in %q", r.Reason)
			}
			if known := r.Known(policy.FSVerityDigest); known != (tt.state == StateMeasured) && o.Dev != "tmpfs" {
				t.Errorf("the digest is known: %v", known)
			}
			for key := policy.BootVerified; key <= policy.FSVeritySignature; key++ {
				if (r.Why(key) == "") != r.Known(key) {
					t.Errorf("%v: known %v, but %q", key, r.Known(key), r.Why(key))
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// offMainThread runs f on a thread that ends with it. It is not the main one,
// whose root directory is that of the process in /proc/self.
func offMainThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		defer runtime.UnlockOSThread()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runtime.LockOSThread() // another one: the main thread is taken
			f()
		}()
		<-ended
	}()
}

func TestMeasureLooksInTheRootOfTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := object(t, filepath.Join(dir, "program"))
	o.Path = "/program"
	tids, done := make(chan int), make(chan struct{})
	failed := make(chan error, 1)
	offMainThread(func() {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			failed <- err
			return
		}
		if err := unix.Chroot(dir); err != nil {
			failed <- err
			return
		}
		tids <- unix.Gettid()
		<-done
	})
	defer close(done)
	select {
	case err := <-failed:
		t.Skipf("needs CAP_SYS_CHROOT: %v", err)
	case tid := <-tids:
		if r := New().Measure(o); r.State != StateGone {
			t.Errorf("without the process: %v, %s", r.State, r.Reason)
		}
		o.PID = uint64(tid)
		r := New().Measure(o)
		if want := fmt.Sprintf("/proc/%d/root/program", tid); r.State != StateMeasured || r.Path != want {
			t.Errorf("got %v at %q: %s", r.State, r.Path, r.Reason)
		}
		o.Ino++
		if r := New().Measure(o); r.State != StateGone {
			t.Errorf("another file inside: %v, %s", r.State, r.Reason)
		}
	}
}

func TestSuperBlocksAreCalledAsTheKernelDoes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/proc/self/status": "proc", "/sys/kernel": "sysfs"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if got := objectAt(t, path).Dev; got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		})
	}
}

// sysfs makes a host with a disk, a dm-verity device, another device-mapper
// device and a RAID controller of old.
func sysfs(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/filesystems":              "nodev\tsysfs\nnodev\ttmpfs\n\text4\n",
		"sys/class/block/vda1/dev":      "254:1\n",
		"sys/class/block/dm-0/dev":      "253:0\n",
		"sys/class/block/dm-0/dm/name":  "sealed\n",
		"sys/class/block/dm-1/dev":      "253:1\n",
		"sys/class/block/dm-1/dm/name":  "root\n",
		"sys/class/block/dm-2/dev":      "253:2\n",
		"sys/class/block/dm-2/dm/name":  "hidden\n",
		"sys/class/block/dm-3/dev":      "253:3\n",
		"sys/class/block/dm-3/dm/name":  "signed\n",
		"sys/class/block/cciss!c0/dev":  "104:0\n",
		"sys/class/block/dm-4/dev":      "253:4\n",
		"sys/class/block/dm-4/dm/name":  "damaged\n",
		"sys/class/block/dm-5/dev":      "nonsense\n",
		"sys/class/block/dm-5/dm/name":  "nonsense\n",
		"proc/sys/fs/verity/signatures": "0\n",
	} {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

const rootHash = "26c61001cd26dee70620662df5e8469cce06e5fe7b5bcdff1cb1b181ecd1698f"

func tables(device uint64) (target, parameters string, err error) {
	table := "1 254:1 254:1 4096 4096 256 256 sha256 " + rootHash + " -"
	switch unix.Minor(device) {
	case 0:
		return "verity", table, nil
	case 1:
		return "linear", "254:1 0", nil
	case 2:
		return "", "", os.ErrPermission
	case 3:
		return "verity", table + " 3 ignore_zero_blocks root_hash_sig_key_desc key", nil
	}
	return "verity", "1 254:1", nil
}

func TestDevicesTellTheirProperties(t *testing.T) {
	t.Parallel()
	m := &Measurer{root: sysfs(t), table: tables, booted: func() time.Time { return time.UnixMilli(1_000_000) }}
	sum, err := hex.DecodeString(rootHash)
	must(t, err)
	hash := policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: sum}}
	none := policy.DigestFact{Has: policy.False}
	plain := policy.Facts{BootVerified: policy.False, DMVerityRootHash: none, DMVeritySignature: policy.False}
	unknown := policy.Facts{BootVerified: policy.False}
	bare := policy.NoFile()
	boot := bare
	boot.BootVerified = policy.True
	for _, tt := range []struct {
		dev  string
		want policy.Facts
		why  string // of the root hash
	}{
		{"vda1", plain, ""},
		{"cciss/c0", plain, ""},
		{"dm-0", policy.Facts{BootVerified: policy.False, DMVerityRootHash: hash, DMVeritySignature: policy.False}, ""},
		{"dm-3", policy.Facts{BootVerified: policy.False, DMVerityRootHash: hash, DMVeritySignature: policy.True}, ""},
		{"dm-1", plain, ""},
		{"dm-2", unknown, "may not be read: that takes root in the initial namespaces"},
		{"dm-4", unknown, "too few words"},
		{"dm-5", unknown, "device number"},
		{"vdz", unknown, "no block device"},
		{"..", unknown, "no block device"},
		{"tmpfs", bare, ""},
		{"rootfs", boot, ""},
		{"overlay", unknown, "below an overlay"},
		{"", policy.Facts{}, "does not tell the device"},
	} {
		r := m.Measure(Object{Path: "/nonexistent/file", Dev: tt.dev, Ino: 1})
		if diff := cmp.Diff(tt.want, r.Facts); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.dev, diff)
		}
		if why := r.Why(policy.DMVerityRootHash); !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%q: %q, want %q", tt.dev, why, tt.why)
		}
	}
}

func TestDevicesOfAnotherBootAreNotKnown(t *testing.T) {
	t.Parallel()
	m := &Measurer{root: sysfs(t), table: tables, booted: func() time.Time { return time.UnixMilli(1_000_000) }}
	for judged, known := range map[int64]bool{0: true, 1: false, 989_999: false, 990_001: true, 1_000_001: true} {
		r := m.Measure(Object{Path: "/nonexistent/file", Dev: "dm-0", Ino: 1, Time: judged})
		if r.Known(policy.DMVerityRootHash) != known || r.Known(policy.DMVeritySignature) != known || known == strings.Contains(r.Why(policy.DMVerityRootHash), "booted since") {
			t.Errorf("judged at %d: %+v, %q", judged, r.Facts, r.Why(policy.DMVerityRootHash))
		}
	}
	if ago := time.Since(bootTime()); ago <= 0 {
		t.Errorf("the host was booted %v ago", ago)
	}
}

func TestObjectsAreThoseOfRecords(t *testing.T) {
	t.Parallel()
	var d ipe.Decoder
	var ev ipe.Event
	for _, tt := range []struct {
		text string
		want Object
	}{
		{
			`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=570 comm="sh" path=? dev=? ino=? rule="DEFAULT op=EXECUTE action=DENY"`,
			Object{NoFile: true, PID: 570, Time: 1795440701244},
		},
		{
			`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=570 comm="sh" path="/x" dev="vda1" ino=7 rule="op=EXECUTE boot_verified=FALSE fsverity_digest="sha256":00FF action=DENY"`,
			Object{Path: "/x", Dev: "vda1", Ino: 7, PID: 570, Time: 1795440701244, Held: []policy.Property{
				{Key: policy.BootVerified}, {Key: policy.FSVerityDigest, Digest: policy.Digest{Algorithm: "sha256", Sum: []byte{0, 255}}},
			}},
		},
		{
			`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=570 comm="sh" path= dev= ino=7 rule="DEFAULT action=DENY"`,
			Object{Ino: 7, PID: 570, Time: 1795440701244},
		},
	} {
		d.Decode(&ev, 1420, []byte(tt.text))
		if diff := cmp.Diff(tt.want, ObjectOf(&ev)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestTheMatchedRuleTellsWhatIsNotFoundOut(t *testing.T) {
	t.Parallel()
	digest := policy.Digest{Algorithm: "sha256", Sum: []byte{1}}
	r := New().Measure(Object{Path: "/nonexistent/file", Dev: "nowhere", Ino: 1, Held: []policy.Property{
		{Key: policy.BootVerified, Value: true}, {Key: policy.FSVerityDigest, Digest: digest}, {Key: policy.FSVeritySignature},
	}})
	want := policy.Facts{BootVerified: policy.False, FSVerityDigest: policy.DigestFact{Has: policy.True, Digest: digest}, FSVeritySignature: policy.False}
	if diff := cmp.Diff(want, r.Facts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
