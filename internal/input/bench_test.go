package input

import (
	"bytes"
	"strings"
	"testing"
)

// form is an input of some length of one form.
type form struct {
	name    string
	in      []byte
	records int
}

func forms(t testing.TB) []form {
	capture := load(t, "audit1-03-enforce.nlcap")
	captureText := load(t, "audit1-03-enforce.txt")
	n := bytes.Count(captureText, []byte("\n"))
	const repeat = 300
	return []form{
		{"capture", bytes.Repeat(capture, repeat), n * repeat},
		{"text", bytes.Repeat(captureText, repeat), n * repeat},
		{"dmesg", []byte(strings.Repeat("[   12.345678] audit: type=1420 "+text+"\n", 100*repeat)), 100 * repeat},
		{"syslog", []byte(strings.Repeat("Nov 23 13:35:38 vm kernel: [   12.345678] audit: type=1420 "+text+"\n", 100*repeat)), 100 * repeat},
		{"export", bytes.Repeat(load(t, "journal-export"), repeat), 5 * repeat},
		{"json", bytes.Repeat(load(t, "journal-json"), repeat), 5 * repeat},
	}
}

// TestReadingDoesNotAllocate covers all forms but JSON.
func TestReadingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, f := range forms(t) {
		if f.name == "json" {
			continue
		}
		r := NewReader(bytes.NewReader(f.in))
		var rec Record
		next := func() {
			if err := r.Next(&rec); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 { // the buffers find their size
			next()
		}
		if n := testing.AllocsPerRun(500, next); n != 0 {
			t.Errorf("%s: %v allocations per record", f.name, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(f.in) / f.records))
			var rec Record
			r := NewReader(bytes.NewReader(f.in))
			for b.Loop() {
				err := r.Next(&rec)
				if err != nil && ended(err) {
					r = NewReader(bytes.NewReader(f.in))
					err = r.Next(&rec)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
