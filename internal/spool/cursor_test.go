package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCursorText(t *testing.T) {
	t.Parallel()
	for _, c := range []Cursor{{1, 0}, {0x0123abcd, 42}, {0xffffffff, 1<<64 - 1}} {
		if got, err := ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%v: got %v, %v", c, got, err)
		}
	}
	if got := (Cursor{0x0123abcd, 42}).String(); got != "0123abcd:42" {
		t.Errorf("got %q", got)
	}
	for _, s := range []string{
		"", ":", "0123abcd", "0123abcd:", ":42", "00000000:1", "123abcd:1", "0123ABCD:1", "0123abcd:-1",
		"0123abcd:+1", "0123abcd:0x1", "0123abcd:18446744073709551616", "0123abcd:1 ", "+123abcd:1", "0_23abcd:1",
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
		if err := SaveCursor(dir, name, Cursor{7, 1}, i%2 == 0); err != nil {
			t.Fatal(err)
		}
		if err := SaveCursor(dir, name, Cursor{7, uint64(i)}, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		if c, err := LoadCursor(dir, name); err != nil || c != (Cursor{7, uint64(i)}) {
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
	if err := SaveCursor(dir, "x", Cursor{7, 1234}, false); err != nil {
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
	if err := SaveCursor(dir, "x", Cursor{7, 1}, true); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "x.cursor.new"), 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	if err := SaveCursor(dir, "x", Cursor{7, 2}, true); err == nil {
		t.Error("no error")
	}
	if c, err := LoadCursor(dir, "x"); err != nil || c.Seq != 1 {
		t.Errorf("got %v, %v", c, err)
	}
}
