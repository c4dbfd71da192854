package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCursorText(t *testing.T) {
	t.Parallel()
	for _, c := range []Cursor{{ID: 1, Seq: 0}, {ID: 0x0123456789abcdef, Seq: 42}, {ID: 1<<64 - 1, Seq: 1<<64 - 1}} {
		if got, err := ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%v: got %v, %v", c, got, err)
		}
	}
	if got := (Cursor{ID: 0x0123456789abcdef, Seq: 42}).String(); got != "0123456789abcdef:42" {
		t.Errorf("got %q", got)
	}
	for _, s := range []string{
		"", ":", "0123456789abcdef", "0123456789abcdef:", ":42", "0000000000000000:1", "123456789abcdef:1", "0123456789ABCDEF:1", "5f1c9a02:1", "0123456789abcdef:-1",
		"0123456789abcdef:+1", "0123456789abcdef:0x1", "0123456789abcdef:18446744073709551616", "0123456789abcdef:1 ", "+123456789abcdef:1", "0_23456789abcdef:1",
	} {
		if c, err := ParseCursor(s); err == nil {
			t.Errorf("%q gave %v", s, c)
		}
	}
}

func TestCursorFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{
		"siem", "SIEM", "a/b", "../a", "", ".", "a%2Fb", "a b", "\x00", "é",
		strings.Repeat("x", 300), strings.Repeat("x", 301),
	}
	for i, name := range names {
		if _, err := LoadCursor(dir, name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q before saving: %v", name, err)
		}
		if err := SaveCursor(dir, name, Cursor{ID: 7, Seq: 1}, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if err := SaveCursor(dir, name, Cursor{ID: 7, Seq: uint64(i)}, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		if c, err := LoadCursor(dir, name); err != nil || c != (Cursor{ID: 7, Seq: uint64(i)}) {
			t.Errorf("%q: %v, %v", name, c, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != len(names) {
		t.Errorf("%d files for %d names", len(files), len(names))
	}
}

func TestDamagedCursorFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := SaveCursor(dir, "x", Cursor{ID: 7, Seq: 1234}, false); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.cursor")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		flipped := append([]byte{}, whole...)
		flipped[n] ^= 4
		for _, b := range [][]byte{whole[:n], flipped, append(whole[:len(whole):len(whole)], whole[:n+1]...)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if c, err := LoadCursor(dir, "x"); !errors.Is(err, ErrCursor) || !strings.Contains(err.Error(), "x") {
				t.Errorf("%q: got %v, %v", b, c, err)
			}
		}
	}
}

func TestSaveCursorKeepsTheOldOneOnFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := SaveCursor(dir, "x", Cursor{ID: 7, Seq: 1}, true); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "x.cursor.new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := SaveCursor(dir, "x", Cursor{ID: 7, Seq: 2}, true); err == nil {
		t.Error("no error")
	}
	if c, err := LoadCursor(dir, "x"); err != nil || c.Seq != 1 {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestCursorFilesAreEquallyLong(t *testing.T) {
	t.Parallel()
	shortest := encodeCursor(Cursor{ID: 1, Seq: 0})
	for _, c := range []Cursor{{ID: 0x0123456789abcdef, Seq: 42}, {ID: 1<<64 - 1, Seq: 1<<64 - 1}} {
		b := encodeCursor(c)
		if len(b) != len(shortest) || len(b) >= maxCursorFile {
			t.Errorf("%q has %d bytes, %q has %d", b, len(b), shortest, len(shortest))
		}
		if got, err := decodeCursor(b); err != nil || got != c {
			t.Errorf("%q: got %v, %v", b, got, err)
		}
	}
}

func TestCursorFileIsWrittenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := SaveCursor(dir, "x", Cursor{ID: 7, Seq: 1}, false); err != nil {
		t.Fatal(err)
	}
	f := NewCursorFile(dir, "x")
	defer f.Close()
	before := stat(t, dir)
	for _, tt := range []struct {
		cursor   Cursor
		prepare  func()
		replaces bool
	}{
		{Cursor{ID: 7, Seq: 1 << 60}, func() {}, true}, // whatever was there
		{Cursor{ID: 1<<64 - 1, Seq: 2}, func() {}, false},
		{Cursor{ID: 8, Seq: 1<<64 - 1}, func() {}, false},
		{Cursor{ID: 8, Seq: 3}, func() { f.replaced = f.replaced.Add(-replaceInterval) }, true},
		{Cursor{ID: 8, Seq: 4}, func() {}, false},
		{Cursor{ID: 8, Seq: 5}, f.Close, true},
		{Cursor{ID: 8, Seq: 6}, func() { f.file.Close() }, true}, // a write fails
	} {
		tt.prepare()
		if err := f.Save(tt.cursor); err != nil {
			t.Fatal(err)
		}
		if c, err := LoadCursor(dir, "x"); err != nil || c != tt.cursor {
			t.Errorf("%v: got %v, %v", tt.cursor, c, err)
		}
		after := stat(t, dir)
		if replaced := !os.SameFile(before, after); replaced != tt.replaces {
			t.Errorf("%v: replaced %v, want %v", tt.cursor, replaced, tt.replaces)
		}
		before = after
	}
}

// stat looks at the file of the cursor x.
func stat(t *testing.T, dir string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, "x.cursor"))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestCursorFileThatSomebodyTouched does everything to the file that would have
// the next save go elsewhere, or be read as damaged.
func TestCursorFileThatSomebodyTouched(t *testing.T) {
	t.Parallel()
	for name, touch := range map[string]func(dir, path string) error{
		"removed": func(_, path string) error { return os.Remove(path) },
		"moved":   func(_, path string) error { return os.Rename(path, path+".aside") },
		"the folder moved": func(dir, _ string) error {
			return errors.Join(os.Rename(dir, dir+".aside"), os.Mkdir(dir, 0o700))
		},
		"replaced": func(_, path string) error {
			return errors.Join(os.WriteFile(path+".other", encodeCursor(Cursor{ID: 7, Seq: 1}), 0o600), os.Rename(path+".other", path))
		},
		"a link to it": func(_, path string) error {
			return errors.Join(os.Rename(path, path+".aside"), os.Symlink(path+".aside", path))
		},
		"emptied": func(_, path string) error { return os.Truncate(path, 0) },
		"longer": func(_, path string) error {
			return os.Truncate(path, maxCursorFile)
		},
		"overwritten": func(_, path string) error {
			return os.WriteFile(path, slices.Repeat([]byte("x"), maxCursorFile), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "cursors")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			f := NewCursorFile(dir, "x")
			defer f.Close()
			path := filepath.Join(dir, "x.cursor")
			for seq := range uint64(3) {
				if err := f.Save(Cursor{ID: 7, Seq: seq}); err != nil {
					t.Fatal(err)
				}
			}
			if err := touch(dir, path); err != nil {
				t.Fatal(err)
			}
			for seq := uint64(3); seq < 6; seq++ {
				if err := f.Save(Cursor{ID: 7, Seq: seq}); err != nil {
					t.Fatal(err)
				}
				if c, err := LoadCursor(dir, "x"); err != nil || c != (Cursor{ID: 7, Seq: seq}) {
					t.Errorf("got %v, %v, want %d", c, err, seq)
				}
			}
			if info := stat(t, dir); !info.Mode().IsRegular() {
				t.Errorf("it is %v", info.Mode())
			}
		})
	}
}

// TestCursorFileInAFolderThatIsGone fails until there is a folder again.
func TestCursorFileInAFolderThatIsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cursors")
	f := NewCursorFile(dir, "x")
	defer f.Close()
	for seq := range uint64(3) {
		if err := f.Save(Cursor{ID: 7, Seq: seq}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v without a folder", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.Save(Cursor{ID: 7, Seq: seq}); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
