package ipe

import (
	"bytes"
	"path/filepath"
	"testing"
	"unsafe"
)

// seedRecords adds every record of testdata and a capture to the corpus.
func seedRecords(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no records: %v", err)
	}
	files = append(files, "../../test/captures/7.3/off-14-check-exec.txt")
	for _, file := range files {
		for _, r := range readRecords(f, file) {
			f.Add(r.typ, r.text)
		}
	}
}

// FuzzDecode holds the decoder to the slow parser, to Classify, and to its
// promise about memory.
func FuzzDecode(f *testing.F) {
	seedRecords(f)
	f.Fuzz(func(t *testing.T, typ uint16, text []byte) {
		before := bytes.Clone(text)
		var d Decoder
		var ev Event
		class := d.Decode(&ev, typ, text)
		if !bytes.Equal(text, before) {
			t.Fatal("Decode wrote to the text")
		}
		if c := Classify(typ, text); c != class {
			t.Errorf("Classify says %v, Decode says %v", c, class)
		}
		slowClass, slow := slowDecode(typ, text)
		if got, want := dump(class, &ev), dump(slowClass, slow); got != want {
			t.Fatalf("%d %q\n got %s\nwant %s", typ, text, got, want)
		}
		if class == ClassIPE {
			checkViews(t, &d, &ev, text)
		}
	})
}

// views returns every byte slice of ev.
func views(ev *Event) [][]byte {
	v := [][]byte{ev.Op, ev.Hook, ev.Comm, ev.Path, ev.Dev, ev.Rule, ev.LSM, ev.Raw, ev.Stage, ev.Version, ev.Kernel, ev.IPEStatus}
	for _, p := range []Policy{ev.ActivePolicy, ev.Policy, ev.OldPolicy} {
		v = append(v, p.Name, p.Version, p.Digest)
	}
	for _, kv := range ev.Extra {
		v = append(v, kv.Key, kv.Value)
	}
	return append(v, ev.RuleProperties...)
}

// checkViews checks that every byte slice of ev lies inside of text or inside
// of the decoder's scratch space.
func checkViews(t *testing.T, d *Decoder, ev *Event, text []byte) {
	t.Helper()
	inside := func(v, outer []byte) bool {
		from, start := uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(unsafe.Pointer(unsafe.SliceData(outer)))
		return from >= start && from+uintptr(len(v)) <= start+uintptr(len(outer))
	}
	for _, v := range views(ev) {
		if v != nil && !inside(v, text) && !inside(v, d.scratch) {
			t.Errorf("%q views neither the text nor the scratch space", v)
		}
	}
}
