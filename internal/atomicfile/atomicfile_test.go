package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestWriteReplacesTheWholeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	for _, want := range []string{"a long first content", "short", ""} {
		if err := Write(OS{}, path, []byte(want), 0o644, true); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		if info, _ := os.Stat(path); info.Mode() != 0o644 {
			t.Errorf("the mode is %v", info.Mode())
		}
	}
}

// The file that is written lies in a directory where others may have put something.
func TestWriteFollowsNoLinkAndOpensNoFIFO(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "state")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func() error{
		"a link":     func() error { return os.Symlink(victim, path+Suffix) },
		"a FIFO":     func() error { return syscall.Mkfifo(path+Suffix, 0o600) },
		"a leftover": func() error { return os.WriteFile(path+Suffix, []byte("longer than what comes"), 0o400) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if err := Write(OS{}, path, []byte("new"), 0o600, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != "new" {
			t.Errorf("%s: the file holds %q", name, got)
		}
		if got, _ := os.ReadFile(victim); string(got) != "mine" {
			t.Errorf("%s: the other file holds %q", name, got)
		}
	}
}

var errFault = errors.New("fault")

// failing fails one operation, and notes all.
type failing struct {
	OS
	fail string
	done []string
}

func (fs *failing) do(op string) error {
	fs.done = append(fs.done, op)
	if op == fs.fail {
		return errFault
	}
	return nil
}

func (fs *failing) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	if err := fs.do("open"); err != nil {
		return nil, err
	}
	f, err := fs.OS.OpenFile(name, flag, perm)
	return &failingFile{f, fs}, err
}

func (fs *failing) Rename(from, to string) error {
	return errors.Join(fs.do("rename"), func() error {
		if fs.fail == "rename" {
			return nil
		}
		return fs.OS.Rename(from, to)
	}())
}

func (fs *failing) SyncDir(name string) error { return fs.do("sync the directory") }

type failingFile struct {
	File
	fs *failing
}

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.do("write"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *failingFile) Sync() error { return f.fs.do("sync") }

func TestFailedWriteLeavesTheOldFileAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"open", "write", "sync", "rename"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "state")
			if err := Write(OS{}, path, []byte("old"), 0o600, false); err != nil {
				t.Fatal(err)
			}
			if err := Write(&failing{fail: fault}, path, []byte("new"), 0o600, true); !errors.Is(err, errFault) {
				t.Errorf("got %v", err)
			}
			if got, err := os.ReadFile(path); string(got) != "old" {
				t.Errorf("the file holds %q, %v", got, err)
			}
			if names, err := os.ReadDir(dir); len(names) != 1 {
				t.Errorf("the directory holds %v, %v", names, err)
			}
		})
	}
}

func TestDurableWriteSyncsTheFileBeforeItsNameAndTheNameAfter(t *testing.T) {
	t.Parallel()
	for durable, want := range map[bool][]string{
		true:  {"open", "write", "sync", "rename", "sync the directory"},
		false: {"open", "write", "rename"},
	} {
		fs := &failing{}
		if err := Write(fs, filepath.Join(t.TempDir(), "state"), []byte("new"), 0o600, durable); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(fs.done, want) {
			t.Errorf("durable %v: got %q, want %q", durable, fs.done, want)
		}
	}
	fs := &failing{fail: "sync the directory"}
	if err := Write(fs, filepath.Join(t.TempDir(), "state"), nil, 0o600, true); !errors.Is(err, errFault) {
		t.Errorf("a name that is not durable: got %v", err)
	}
}

func TestReadTakesRegularFilesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.Symlink(file, link), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		file: nil, link: ErrNotRegular, fifo: ErrNotRegular, dir: ErrNotRegular, filepath.Join(dir, "none"): os.ErrNotExist,
	} {
		got, err := Read(OS{}, path, 7)
		if !errors.Is(err, want) || err == nil && string(got) != "content" {
			t.Errorf("%s: got %q, %v; want %v", filepath.Base(path), got, err, want)
		}
	}
	if _, err := Read(OS{}, file, 6); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("a longer file: got %v", err)
	}
}
