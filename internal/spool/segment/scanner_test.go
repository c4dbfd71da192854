package segment

import (
	"bytes"
	"testing"
)

// FuzzScanner feeds the scanner any file: it must end, stay inside, and find
// the same frames whatever it is given at once.
func FuzzScanner(f *testing.F) {
	var good []byte
	at := Origin
	for i := range 4 {
		b := make([]byte, 100)
		r := Record{Type: 1420, Context: uint16(i), Time: 5, Data: []byte("some record"), Attachment: i == 2, Event: Cursor{7, 1}}
		n := PutFrame(b, 7, at, &r)
		at = at.Behind(r.Attachment)
		good = append(good, b[:n]...)
	}
	f.Add(good)
	f.Add(append([]byte("garbage"), good...))
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		var sc scanner
		sc.reset(bytes.NewReader(b), 7, Origin, 0, int64(len(b)))
		last := Origin
		var sum int64
		for {
			skipped, err := sc.next()
			fr := &sc.frame
			sum += skipped
			if err != nil {
				break
			}
			sum += FrameHeaderSize + int64(len(fr.Data))
			if fr.Attachment {
				sum += ReferenceSize
				if fr.Event >= fr.At.Seq {
					t.Fatalf("an attachment before its event %d: %v", fr.Event, fr.At)
				}
			}
			if fr.At.N < last.N || fr.At.Seq < last.Seq || fr.At.Seq-last.Seq > fr.At.N-last.N {
				t.Fatalf("a frame at %v after %v", fr.At, last)
			}
			last = fr.Next()
		}
		if sum != int64(len(b)) {
			t.Fatalf("accounted for %d of %d bytes", sum, len(b))
		}
	})
}
