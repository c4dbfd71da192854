package ipe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// record is one line of testdata: a record type and a text.
type record struct {
	typ  uint16
	text []byte
}

// readRecords reads lines of the form "type=1420 TEXT". Text that begins with
// a double quote is a Go string, for bytes that a line cannot hold. Lines that
// begin with # are comments.
func readRecords(t testing.TB, file string) []record {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		typ, text, ok := strings.Cut(strings.TrimPrefix(line, "type="), " ")
		n, err := strconv.ParseUint(typ, 10, 16)
		if !ok || err != nil {
			t.Fatalf("%s: no record: %q", file, line)
		}
		if strings.HasPrefix(text, `"`) {
			if text, err = strconv.Unquote(text); err != nil {
				t.Fatalf("%s: %v: %s", file, err, line)
			}
		}
		records = append(records, record{uint16(n), []byte(text)})
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

// readCapture reads an .nlcap file: repeated { u64 monotonic ns, u32 sender,
// u32 length, datagram with its nlmsghdr }, all little endian.
func readCapture(t testing.TB, file string) []record {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const frame, nlmsghdr = 16, 16
	var records []record
	for len(data) > 0 {
		n := int(binary.LittleEndian.Uint32(data[12:]))
		datagram := data[frame : frame+n]
		records = append(records, record{binary.LittleEndian.Uint16(datagram[4:]), datagram[nlmsghdr:]})
		data = data[frame+n:]
	}
	return records
}

// decodeAll renders the events of all records, one line each.
func decodeAll(t *testing.T, records []record) string {
	t.Helper()
	var d Decoder
	var ev Event
	var out strings.Builder
	for _, r := range records {
		class := d.Decode(&ev, r.typ, r.text)
		if c := Classify(r.typ, r.text); c != class {
			t.Errorf("Classify says %v, Decode says %v: %q", c, class, r.text)
		}
		fmt.Fprintln(&out, dump(class, &ev))
	}
	return out.String()
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

func TestDecodeGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no records: %v", err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".txt")
		t.Run(filepath.Base(base), func(t *testing.T) {
			t.Parallel()
			compareGolden(t, base+".golden", decodeAll(t, readRecords(t, file)))
		})
	}
}

func TestDecodeCaptures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../test/captures/*/*.nlcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		release := filepath.Base(filepath.Dir(file))
		base := strings.TrimSuffix(filepath.Base(file), ".nlcap")
		t.Run(release+"/"+base, func(t *testing.T) {
			t.Parallel()
			got := decodeAll(t, readCapture(t, file))
			compareGolden(t, filepath.Join("testdata", "captures", release, base+".golden"), got)

			text := strings.TrimSuffix(file, ".nlcap") + ".txt"
			if diff := cmp.Diff(got, decodeAll(t, readRecords(t, text))); diff != "" {
				t.Errorf("the text of the capture decodes differently (-capture +text):\n%s", diff)
			}
			if strings.Contains(got, "unparsed") || strings.Contains(got, "extra:") {
				t.Error("a record of an unmodified kernel was not understood")
			}
		})
	}
}
