package input

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// FuzzLines compares with a reader that has the whole input and splits it.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), uint32(0))
	f.Add([]byte("a\x00\x00\nb\x00c\n\x00\n"), uint32(70_000))
	f.Add([]byte("\x00\r\n\x00\x00a\x00\r\nb"), uint32(2_000_000))
	f.Fuzz(func(t *testing.T, in []byte, hole uint32) {
		// Somewhere the hole is large.
		if i := bytes.IndexByte(in, 0); i >= 0 {
			in = slices.Concat(in[:i], make([]byte, hole%(3<<20)), in[i:])
		}
		if !slices.Contains(in, 0) || !isWideAnywhere(in) {
			want := slowLines(in)
			r := NewReader(bytes.NewReader(in))
			var got []string
			for r.readLine() == nil {
				got = append(got, string(r.text))
			}
			if !slices.Equal(want, got) || r.off != int64(len(in)) {
				t.Fatalf("at %d of %d\nwant %q\ngot  %q", r.off, len(in), want, got)
			}
		}
	})
}

func isWideAnywhere(p []byte) bool {
	for i := range p {
		if isWide(p, i) {
			return true
		}
	}
	return false
}

var lineEnds = regexp.MustCompile(`^(?:\x00+(?:\r?\n)?|\r?\n)`)

// slowLines splits at LFs and runs of NULs.
func slowLines(in []byte) (lines []string) {
	rest := in
	for len(rest) > 0 {
		i := bytes.IndexAny(rest, "\n\x00")
		if i < 0 {
			i = len(rest)
		}
		line := rest[:i]
		end := ""
		if i < len(rest) {
			end = string(lineEnds.Find(rest[i:]))
		}
		isNUL := end != "" && end[0] == 0
		if len(line) > 0 || !isNUL {
			lines = append(lines, strings.TrimSuffix(string(line), "\r"))
		}
		rest = rest[i+len(end):]
	}
	return lines
}

// narrowRun is what the reader takes for ASCII behind UTF-16.
var narrowRun = regexp.MustCompile("a{16}")

// FuzzUTF16 compares with the standard library.
func FuzzUTF16(f *testing.F) {
	f.Add([]byte("a\x00\x3d\xd8\x00\xdeb\x00"), false)
	f.Add([]byte("\xd8\x3d\x00"), true)
	f.Fuzz(func(t *testing.T, in []byte, big bool) {
		order := binary.ByteOrder(binary.LittleEndian)
		if big {
			order = binary.BigEndian
		}
		units := make([]uint16, len(in)/2)
		for i := range units {
			if units[i] = order.Uint16(in[2*i:]); units[i] == 0xfffe {
				return // turns the order, which the standard library knows nothing of
			}
		}
		want := string(utf16.Decode(units)) + strings.Repeat("\ufffd", len(in)%2)
		pairs := make([]byte, len(in)/2) // a or - for each unit
		for i := range pairs {
			pairs[i] = '-'
			if isASCII(in[2*i]) && isASCII(in[2*i+1]) {
				pairs[i] = 'a'
			}
		}
		for _, r := range []io.Reader{bytes.NewReader(in), oneByte{bytes.NewReader(in)}} {
			got, err := io.ReadAll(&utf16Reader{br: bufio.NewReader(r), order: order})
			if narrowRun.Match(pairs) {
				if err != errNarrow || !strings.HasPrefix(want, string(got)) {
					t.Fatalf("%v, want %v\nwant the beginning of %q\ngot  %q", err, errNarrow, want, got)
				}
			} else if err != nil || string(got) != want {
				t.Fatalf("%v\nwant %q\ngot  %q", err, want, got)
			}
		}
	})
}

// FuzzBlock prints a list of objects in every way that json can, and wants each of
// them once.
func FuzzBlock(f *testing.F) {
	f.Add([]byte(`{"spool":"a","x":{"y":["}",1.5e3,null]}}`), uint8(3), "  ")
	f.Add([]byte(`{"spool":1,"z":"\"\\\u000a"}`), uint8(1), "\t")
	f.Fuzz(func(t *testing.T, object []byte, n uint8, indent string) {
		var members map[string]json.RawMessage
		if json.Unmarshal(object, &members) != nil || members == nil || len(object) > 10_000 || strings.Trim(indent, " \t") != "" {
			return
		}
		var compact bytes.Buffer
		if json.Compact(&compact, object) != nil || !bytes.HasPrefix(compact.Bytes(), []byte(`{"spool"`)) ||
			bytes.Contains(compact.Bytes(), []byte("[{")) || bytes.Contains(compact.Bytes(), []byte("},{")) || nesting(compact.Bytes()) > maxDepth/2 {
			return
		}
		want := slices.Repeat([]string{compact.String()}, int(n%8)+1)
		list := "[" + strings.Join(want, ",") + "]"
		var pretty bytes.Buffer
		if json.Indent(&pretty, []byte(list), "", indent) != nil {
			t.Fatal("cannot indent what is valid")
		}
		var lines bytes.Buffer
		for range want {
			if json.Indent(&lines, compact.Bytes(), "", indent) != nil {
				t.Fatal("cannot indent what is valid")
			}
			lines.WriteByte('\n')
		}
		for _, in := range []string{list, pretty.String(), lines.String(), strings.Join(want, ""), strings.Join(want, "\n")} {
			records, err := read(NewReader(strings.NewReader(in)))
			var got []string
			for _, r := range records {
				got = append(got, r.Text)
			}
			if err != io.EOF || !slices.Equal(want, got) {
				t.Fatalf("%q: %v\nwant %q\ngot  %q", in, err, want, got)
			}
		}
	})
}

// nesting is how deep the brackets of p are, those in strings included.
func nesting(p []byte) (deepest int) {
	depth := 0
	for _, c := range p {
		switch c {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// FuzzMembers packs data in two members with zeros behind, and unpacks it.
func FuzzMembers(f *testing.F) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("abc\x00\x00"), uint16(3), true)
	f.Fuzz(func(t *testing.T, in []byte, zeros uint16, gz bool) {
		half := len(in) / 2
		var packed []byte
		for _, p := range [][]byte{in[:half], in[half:]} {
			if gz {
				packed = append(packed, compress(t, p)...)
			} else {
				packed = encoder.EncodeAll(p, packed)
			}
			packed = append(packed, make([]byte, zeros)...)
		}
		if len(in) < 2 {
			return // an empty frame of zstd may be no bytes
		}
		for _, r := range []io.Reader{bytes.NewReader(packed), oneByte{bytes.NewReader(packed)}} {
			source := packedReader(r)
			got, err := io.ReadAll(&unpacker{in: bufio.NewReader(source), input: source, limit: maxUnpacked})
			if err != nil || !bytes.Equal(got, in) {
				t.Fatalf("%v\nwant %q\ngot  %q", err, in, got)
			}
		}
	})
}

func packedReader(r io.Reader) *packed { return &packed{r: r} }

// FuzzUnpack looks for compressed data that makes the unpacker panic, or run on.
func FuzzUnpack(f *testing.F) {
	entries, err := os.ReadDir("testdata/forms")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		f.Add(form1(f, e.Name()))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		source := packedReader(bytes.NewReader(in))
		u := &unpacker{in: bufio.NewReader(source), input: source, limit: 1 << 20}
		n, err := io.Copy(io.Discard, u)
		var known unpackError
		if err != nil && !errors.As(err, &known) {
			t.Fatalf("got %v", err)
		}
		if n > 1<<20+bufferSize && n/maxRatio > int64(len(in))+1 {
			t.Fatalf("%d bytes of %d", n, len(in))
		}
	})
}

// The definition of unread, as slowly as can be.
var (
	slowMark  = regexp.MustCompile(`audit\([0-9]+\.[0-9]{3}:[0-9]+\)|AUDIT14[0-9]{2}(?:[^0-9]|$)`)
	slowWords = regexp.MustCompile(`ipe_op=|IPE ctx_|(?:^|[^-0-9A-Za-z_./])lsm=ipe(?:[^-0-9A-Za-z_./]|$)`)
	slowOther = regexp.MustCompile(`type=\S+ *(?:msg=)?audit\(`)
)

// FuzzUnread puts a record of IPE into any line: it gives an event, or the line is
// unread.
func FuzzUnread(f *testing.F) {
	for _, tt := range lines {
		if before, after, ok := strings.Cut(tt.line, text); ok {
			f.Add(before, after)
		}
	}
	f.Add(`{"message":"`, `"}`)
	f.Add("Nov 23 13:35:38 vm mallory: ", "")
	f.Add("\x1b[", "m")
	f.Add("\xff\xfe", "\x00")
	f.Add("[{", "}]")
	f.Add("MESSAGE=", "\n\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, inner := range []string{text, stamp + "enforcing=0 old_enforcing=1 lsm=ipe res=1", "AUDIT1420 " + body} {
			in := before + inner + after
			if slowOther.MatchString(in) && !strings.Contains(in, "type=1420 ") || strings.Contains(before, "\n") && strings.HasPrefix(before, "__") {
				continue // a record of another type may say what it likes
			}
			r := NewReader(strings.NewReader(in))
			var decoder ipe.Decoder
			var ev ipe.Event
			var rec Record
			events := 0
			for {
				if err := r.Next(&rec); err != nil {
					break
				}
				if rec.Event || rec.Forged || decoder.Decode(&ev, rec.Type, rec.Text) == ipe.ClassIPE {
					events++
				} else {
					r.Reject(&rec)
				}
			}
			var unread *UnreadError
			if events == 0 && !errors.As(r.err, &unread) {
				if holds := slowWords.MatchString(in) && slowMark.MatchString(in); holds {
					t.Fatalf("%q gave no event, and is not told: %v", in, r.err)
				}
			}
		}
	})
}

// FuzzHolds compares the search for records in text with one by regular
// expressions.
func FuzzHolds(f *testing.F) {
	f.Add("x " + text)
	f.Add("audit(1.000:2) lsm=ipe")
	f.Add("AUDIT14200 AUDIT1420 IPE ctx_")
	f.Add("ipe_op= audit(1.00:2) AUDIT1404 audit(1.000:2) lsm=ipex lsm=ipe")
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Contains(in, `\u00`) || strings.Contains(in, "type=") {
			return
		}
		want := false
		if at := slowMark.FindStringIndex(in); at != nil {
			end := at[1]
			if in[at[0]] == 'A' {
				end = at[0] + len("AUDIT1400")
			}
			want = slowWords.MatchString(in[end:])
		}
		if got := holdsIPE([]byte(in)); got != want {
			t.Fatalf("%q: got %v", in, got)
		}
	})
}
