package input

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// record is a Record whose text outlives the next one.
type record struct {
	Type              uint16
	Text              string
	Forged, Truncated bool
	Monotonic         int64
}

// read returns everything that r yields, and what ended it.
func read(r *Reader) (records []record, err error) {
	var rec Record
	for {
		if err := r.Next(&rec); err != nil {
			return records, err
		}
		records = append(records, record{rec.Type, string(rec.Text), rec.Forged, rec.Truncated, rec.Monotonic})
		clear(rec.Text) // it is ours until the next call, and nobody else's
	}
}

// readAll is read for an input that ends well.
func readAll(t *testing.T, in []byte) (records []record, passed uint64) {
	t.Helper()
	r := NewReader(bytes.NewReader(in))
	records, err := read(r)
	var unread *UnreadError
	if err != io.EOF && (!errors.As(err, &unread) || unread.Err != nil) {
		t.Fatalf("got error %v after %d records", err, len(records))
	}
	return records, r.Passed()
}

// ended reports whether err is that of an input that ended well, though not
// everything in it may have been read.
func ended(err error) bool {
	var unread *UnreadError
	return err == io.EOF || errors.As(err, &unread) && unread.Err == nil
}

func TestEventsAreHandedOnUnread(t *testing.T) {
	t.Parallel()
	const event = `{"spool":"5f1c9a0277d8e3b4","seq":1,"event":"stopped"}`
	lines := event + "\n" + `{"level":"info","msg":"an event"}` + "\n" + `{"MESSAGE":"\"event\""}` + "\n" + `{"spool":"5f1`
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, lines)
	w.Close()
	for name, in := range map[string][]byte{"plain": []byte(lines), "gzip": z.Bytes()} {
		r := NewReader(bytes.NewReader(in))
		var rec Record
		for i, want := range []string{event, `{"spool":"5f1`} {
			if err := r.Next(&rec); err != nil || !rec.Event || rec.Type != 0 || string(rec.Text) != want {
				t.Errorf("%s: record %d: %v %q, %v", name, i, rec.Event, rec.Text, err)
			}
		}
		if err := r.Next(&rec); err != io.EOF || r.Passed() != 2 {
			t.Errorf("%s: ends with %v, %d lines passed over", name, err, r.Passed())
		}
	}
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// datagram returns one entry of a capture.
func datagram(monotonic uint64, sender uint32, data string) []byte {
	p := binary.LittleEndian.AppendUint64(nil, monotonic)
	p = binary.LittleEndian.AppendUint32(p, sender)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	return append(p, data...)
}

// message returns a netlink message whose nlmsg_len is off by extra.
func message(typ uint16, text string, extra int) string {
	p := binary.LittleEndian.AppendUint32(nil, uint32(nlmsghdrSize+len(text)+extra))
	p = binary.LittleEndian.AppendUint16(p, typ)
	return string(p) + strings.Repeat("\x00", 10) + text
}

func TestCaptureAndItsTextAgree(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"off-01-policy-load", "off-03-enforce", "audit1-03-enforce"} {
		capture, passed := readAll(t, load(t, name+".nlcap"))
		if passed != 0 {
			t.Errorf("%s: passed over %d", name, passed)
		}
		for i := range capture {
			if capture[i].Monotonic == 0 {
				t.Errorf("%s: record %d has no time", name, i)
			}
			capture[i].Monotonic = 0
		}
		text, passed := readAll(t, load(t, name+".txt"))
		if d := cmp.Diff(capture, text); d != "" || passed != 0 || len(text) == 0 {
			t.Errorf("%s: passed over %d, capture and text differ:\n%s", name, passed, d)
		}
	}
}

// TestCaptureOfABigEndianHost: the headers of a capture are the same everywhere,
// the datagrams are in the byte order of the host that was captured.
func TestCaptureOfABigEndianHost(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"off-01-policy-load", "off-03-enforce", "audit1-03-enforce"} {
		little := load(t, name+".nlcap")
		big := slices.Clone(little)
		for rest := big; len(rest) > 0; {
			n := captureHeader + binary.LittleEndian.Uint32(rest[12:])
			slices.Reverse(rest[captureHeader:][:4])
			slices.Reverse(rest[captureHeader+4:][:2])
			rest = rest[n:]
		}
		want, _ := readAll(t, little)
		got, passed := readAll(t, big)
		if d := cmp.Diff(want, got); d != "" || passed != 0 || len(want) == 0 {
			t.Errorf("%s: passed over %d (-little +big):\n%s", name, passed, d)
		}
	}
}

func TestCaptureYieldsWhatDatagramsHold(t *testing.T) {
	t.Parallel()
	const text = "audit(1795440701.244:47): ipe_op=EXECUTE"
	good := record{Type: 1420, Text: text, Monotonic: 7}
	for _, tt := range []struct {
		name string
		in   []byte
		want record
	}{
		{"ordinary", datagram(7, 0, message(1420, text, 0)), good},
		{"nlmsg_len 16 too small", datagram(7, 0, message(1420, text, -16)), good},
		{"nlmsg_len too large", datagram(7, 0, message(1420, text, 9)), record{1420, text, false, true, 7}},
		{"nlmsg_len damaged", datagram(7, 0, message(1420, text, -1<<24)), record{1420, text, false, true, 7}},
		{"another type", datagram(7, 0, message(1320, "audit(1.000:2): ", 0)), record{1320, "audit(1.000:2): ", false, false, 7}},
		{"forged", datagram(7, 2382, message(1420, text, 0)), record{1420, text, true, false, 7}},
		{"forged, nlmsg_len wrong", datagram(7, 2382, message(1420, text, 5555)), record{1420, text, true, true, 7}},
		{"header alone", datagram(7, 0, message(1404, "", 0)), record{1404, "", false, false, 7}},
		{"shorter than a header", datagram(7, 9, "abc"), record{0, "abc", true, true, 7}},
		{"empty", datagram(7, 9, ""), record{0, "", true, true, 7}},
		{"larger than the buffer", datagram(7, 0, message(1420, strings.Repeat("x", 3*bufferSize), 0)),
			record{1420, strings.Repeat("x", 3*bufferSize), false, false, 7}},
		{"no sense at all", datagram(7, 9, "type=1420 audit(1795440701.244:47): ipe_op=EXECUTE\n"),
			record{binary.LittleEndian.Uint16([]byte("=1")), "1795440701.244:47): ipe_op=EXECUTE\n", true, true, 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, passed := readAll(t, tt.in)
			if d := cmp.Diff([]record{tt.want}, got); d != "" || passed != 0 {
				t.Errorf("alone: passed over %d, -want +got\n%s", passed, d)
			}
			in := append(bytes.Clone(tt.in), datagram(8, 0, message(1420, text, 0))...)
			after := good
			after.Monotonic = 8
			got, _ = readAll(t, in)
			if d := cmp.Diff([]record{tt.want, after}, got); d != "" {
				t.Errorf("first of two: -want +got\n%s", d)
			}
		})
	}
}

func TestCaptureWithAnImpossibleLengthIsDamaged(t *testing.T) {
	t.Parallel()
	first := datagram(7, 0, message(1420, "audit(1.000:2): x", 0))
	in := append(bytes.Clone(first), "\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff...................."...)
	got, err := read(NewReader(bytes.NewReader(in)))
	var damage *DamageError
	want := DamageError{Offset: int64(len(first)), What: "not the header of a datagram"}
	if !errors.As(err, &damage) || *damage != want || len(got) != 1 {
		t.Errorf("got %d records and %v", len(got), err)
	}
}

// Inputs of every form that has entries whose end is known.
func framed(t testing.TB) map[string][]byte {
	in := map[string][]byte{}
	for _, name := range []string{"audit1-03-enforce.nlcap", "journal-export", "journal-json"} {
		in[name] = load(t, name)
	}
	in["forged first"] = append(datagram(7, 9, "abc"), datagram(8, 0, message(1420, "audit(1.000:2): x", 0))...)
	return in
}

func TestEveryPrefixYieldsAPrefix(t *testing.T) {
	t.Parallel()
	for name, in := range framed(t) {
		whole, _ := readAll(t, in)
		damaged := 0
		for n := range in {
			got, err := read(NewReader(bytes.NewReader(in[:n])))
			if len(got) > len(whole) || !slices.Equal(whole[:len(got)], got) {
				t.Fatalf("%s: %d bytes: not a prefix:\n%s", name, n, cmp.Diff(whole, got))
			}
			var damage *DamageError
			switch {
			case errors.As(err, &damage):
				damaged++
				if damage.Offset < 0 || damage.Offset > int64(n) {
					t.Fatalf("%s: %d bytes: damage at %d", name, n, damage.Offset)
				}
			case !ended(err):
				t.Fatalf("%s: %d bytes: got %v", name, n, err)
			}
		}
		if damaged < len(in)-20*len(whole) { // between entries, and in their first bytes, nothing is lost
			t.Errorf("%s: only %d of %d cuts were noticed", name, damaged, len(in))
		}
	}
}

func TestErrorsOfTheInputComeLastAndStay(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	const line = "type=1420 audit(1.000:2): x\n"
	for name, in := range map[string][]byte{
		"at once":      nil,
		"in a line":    []byte(line + line[:20]),
		"in a header":  append(datagram(8, 0, message(1420, "x", 0)), 1, 2, 3),
		"in a message": append(datagram(8, 0, message(1420, "x", 0)), datagram(9, 0, "half")[:18]...),
		"in a field":   []byte(line + "__CURSOR=1\nMESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00AUD"),
	} {
		r := NewReader(io.MultiReader(bytes.NewReader(in), iotest.ErrReader(broken)))
		got, err := read(r)
		if !errors.Is(err, broken) || len(in) > 0 && len(got) != 1 {
			t.Errorf("%s: got %d records and %v", name, len(got), err)
		}
		if err := r.Next(new(Record)); !errors.Is(err, broken) {
			t.Errorf("%s: got %v the second time", name, err)
		}
	}
}

func TestHowTheInputArrivesMakesNoDifference(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		in := load(t, e.Name())
		want, passed := readAll(t, in)
		for name, source := range map[string]io.Reader{
			"one byte": iotest.OneByteReader(bytes.NewReader(in)),
			"half":     iotest.HalfReader(bytes.NewReader(in)),
			"data+EOF": iotest.DataErrReader(bytes.NewReader(in)),
			"gzip":     bytes.NewReader(compress(t, in)),
		} {
			r := NewReader(source)
			got, err := read(r)
			if d := cmp.Diff(want, got); d != "" || !ended(err) || r.Passed() != passed {
				t.Errorf("%s, %s: %v, passed over %d, want %d\n%s", e.Name(), name, err, r.Passed(), passed, d)
			}
		}
	}
}

func compress(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDamagedGzipYieldsWhatCameBefore(t *testing.T) {
	t.Parallel()
	line := "type=1420 audit(1795440701.244:47): ipe_op=EXECUTE\n"
	z := compress(t, []byte(strings.Repeat(line, 1000)))
	flipped := bytes.Clone(z)
	flipped[len(flipped)-8] ^= 1 // the checksum
	for name, in := range map[string][]byte{
		"cut": z[:len(z)-12], "cut in the header": z[:5], "checksum": flipped,
	} {
		got, err := read(NewReader(bytes.NewReader(in)))
		var damage *DamageError
		if !errors.As(err, &damage) || int64(len(got)*len(line)) > damage.Offset {
			t.Errorf("%s: got %d records and %v", name, len(got), err)
		}
		if name == "checksum" && len(got) != 1000 {
			t.Errorf("%s: got %d records", name, len(got))
		}
		for _, r := range got {
			if r.Text != line[10:len(line)-1] {
				t.Errorf("%s: got %q", name, r.Text)
			}
		}
	}
}

func TestEmptyInputEnds(t *testing.T) {
	t.Parallel()
	if got, passed := readAll(t, nil); len(got) != 0 || passed != 0 {
		t.Errorf("got %v, passed over %d", got, passed)
	}
	if got, passed := readAll(t, compress(t, nil)); len(got) != 0 || passed != 0 {
		t.Errorf("compressed: got %v, passed over %d", got, passed)
	}
}

func TestTextIsNoCapture(t *testing.T) {
	t.Parallel()
	const line = "type=1420 audit(1795440701.244:47): ipe_op=EXECUTE\n"
	for n := range 100 {
		got, _ := readAll(t, []byte(strings.Repeat("\x00", n)+line))
		if len(got) != 1 {
			t.Errorf("%d NUL bytes before the line: got %v", n, got)
		}
	}
}

func TestOtherBinaryFilesAreNoCaptures(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"PNG":     "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + strings.Repeat("\x00", 100),
		"control": "\x01\x02\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 100),
	} {
		var unread *UnreadError
		got, err := read(NewReader(strings.NewReader(in)))
		if len(got) != 0 || !errors.As(err, &unread) || len(unread.Parts) != 1 || unread.Parts[0].Reason != reasonNothing {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestLinesTooLongArePassedOver(t *testing.T) {
	t.Parallel()
	const line = "type=1420 audit(1795440701.244:47): ipe_op=EXECUTE"
	long := "type=1420 audit(1795440701.244:48): "
	fits := long + strings.Repeat("x", maxLine-len(long)-1)
	for _, tt := range []struct {
		name   string
		in     string
		want   int
		passed uint64
	}{
		{"as long as allowed", line + "\n" + fits + "\n" + line + "\n", 3, 0},
		{"one byte more", line + "\n" + fits + "x\n" + line + "\n", 2, 1},
		{"much more", line + "\n" + strings.Repeat(fits, 20) + "\n" + line + "\n", 2, 1},
		{"two of them", strings.Repeat(fits+"x\n", 2) + line, 1, 2},
		{"at the end", line + "\n" + fits + "xx", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(strings.NewReader(tt.in))
			got, err := read(r)
			if len(got) != tt.want || r.Passed() != tt.passed || !ended(err) {
				t.Errorf("got %d records, passed over %d, %v", len(got), r.Passed(), err)
			}
			if cap(r.long) > 4*maxLine {
				t.Errorf("holds %d bytes", cap(r.long))
			}
		})
	}
}
