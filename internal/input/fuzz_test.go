package input

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// FuzzReader looks for inputs that make a Reader panic, run for ever, hold more
// than it may, or depend on how the input arrives.
func FuzzReader(f *testing.F) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			p := load(f, e.Name())
			f.Add(p)
			f.Add(compress(f, p[:len(p)/2]))
		}
	}
	for _, tt := range lines {
		f.Add([]byte(tt.line + "\n" + auditFields + "MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00AUDIT\n\n"))
	}
	f.Add(append(datagram(7, 9, "abc"), datagram(8, 0, message(1420, text, 1))...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		got, err := read(r)
		var unread *UnreadError
		if err != io.EOF && !errors.As(err, &unread) {
			t.Fatalf("got %v", err)
		}
		for _, rec := range got {
			if len(rec.Text) > maxLine+64 {
				t.Fatalf("text of %d bytes", len(rec.Text))
			}
		}
		slow := NewReader(iotest.OneByteReader(bytes.NewReader(in)))
		slowly, slowErr := read(slow)
		if !slices.Equal(got, slowly) || slow.Passed() != r.Passed() || fmt.Sprint(err) != fmt.Sprint(slowErr) {
			t.Fatalf("at once: passed over %d, %v, %v\nby bytes: passed over %d, %v, %v",
				r.Passed(), err, got, slow.Passed(), slowErr, slowly)
		}
	})
}

// FuzzCapture compares with a second reader of captures that does nothing else.
func FuzzCapture(f *testing.F) {
	f.Add(uint32(0), []byte(message(1420, text, 0)), []byte("rest"))
	f.Add(uint32(9), []byte("abc"), []byte{})
	f.Fuzz(func(t *testing.T, sender uint32, data, tail []byte) {
		if len(data) > maxLine {
			return
		}
		first := datagram(1, 0, message(1404, "audit(1.000:2): ", 0))
		in := slices.Concat(first, datagram(2, sender, string(data)), tail)
		got, err := read(NewReader(bytes.NewReader(in)))

		var want []record
		rest := in
		for len(rest) >= 16 {
			n := int(binary.LittleEndian.Uint32(rest[12:16]))
			if n > maxLine || n > len(rest)-16 {
				break
			}
			rec := record{Monotonic: int64(binary.LittleEndian.Uint64(rest)), Forged: !bytes.Equal(rest[8:12], make([]byte, 4))}
			if d := rest[16 : 16+n]; n < 16 {
				rec.Text, rec.Truncated = string(d), true
			} else {
				rec.Type, rec.Text = binary.LittleEndian.Uint16(d[4:6]), string(d[16:])
				length, swapped := binary.LittleEndian.Uint32(d), binary.BigEndian.Uint32(d)
				if typ := binary.BigEndian.Uint16(d[4:6]); swapped < length && (isAuditType(typ) || !isAuditType(rec.Type)) {
					length, rec.Type = swapped, typ
				}
				rec.Truncated = int64(length) > int64(n)
			}
			want, rest = append(want, rec), rest[16+n:]
		}
		if !slices.Equal(want, got) || (len(rest) == 0) != (err == io.EOF) {
			t.Fatalf("%d bytes left, %v\nwant %v\ngot  %v", len(rest), err, want, got)
		}
	})
}

// FuzzJournal puts any message through the forms that can carry it.
func FuzzJournal(f *testing.F) {
	f.Add(uint16(1420), uint64(1795440701244000), uint64(47), []byte(body))
	f.Add(uint16(1422), uint64(7), uint64(0), []byte("policy_name=\"a\x00\n\nb\xff\""))
	f.Fuzz(func(t *testing.T, typ uint16, us, serial uint64, body []byte) {
		if typ == 0 || len(body) > maxLine/8 {
			return
		}
		msg := fmt.Appendf(nil, "AUDIT%04d %s", typ, body)
		want := []record{{Type: typ, Text: fmt.Sprintf("audit(%d.%03d:%d): %s", us/1e6, us/1000%1000, serial, body)}}

		numbers := make([]int, len(msg)) // as a []byte would become base64
		for i, c := range msg {
			numbers[i] = int(c)
		}
		object, err := json.Marshal(map[string]any{
			"_TRANSPORT": "audit", "_AUDIT_TYPE": fmt.Sprint(typ), "_AUDIT_ID": fmt.Sprint(serial),
			"_SOURCE_REALTIME_TIMESTAMP": fmt.Sprint(us), "MESSAGE": numbers,
		})
		if err != nil {
			t.Fatal(err)
		}
		export := fmt.Appendf(nil, "__CURSOR=1\n_TRANSPORT=audit\n_AUDIT_TYPE=%d\n_AUDIT_ID=%d\n_SOURCE_REALTIME_TIMESTAMP=%d\nMESSAGE\n", typ, serial, us)
		export = binary.LittleEndian.AppendUint64(export, uint64(len(msg)))
		export = append(append(export, msg...), "\n\n"...)
		for name, in := range map[string][]byte{"json": object, "export": export} {
			if got, err := read(NewReader(bytes.NewReader(in))); err != io.EOF || !slices.Equal(want, got) {
				t.Errorf("%s: %v\nwant %v\ngot  %v", name, err, want, got)
			}
		}
	})
}

// FuzzKmsg reads back what the kernel would have escaped in /dev/kmsg.
func FuzzKmsg(f *testing.F) {
	f.Add([]byte("policy_name=\"a\\x5c\x1b\u00e9\""))
	f.Fuzz(func(t *testing.T, body []byte) {
		line := []byte("5,165,324717,-;audit: type=1422 ")
		for _, c := range body {
			if c < ' ' || c >= 127 || c == '\\' {
				line = fmt.Appendf(line, "\\x%02x", c)
			} else {
				line = append(line, c)
			}
		}
		var rec Record
		ok := new(Reader).textLine(line, &rec)
		want := auditrec.CutInterpretation(bytes.TrimPrefix(bytes.TrimLeft(body, " "), []byte("msg=")))
		if len(line) < maxLine && (!ok || !bytes.Equal(rec.Text, want)) {
			t.Errorf("%v\nwant %q\ngot  %q", ok, want, rec.Text)
		}
	})
}
