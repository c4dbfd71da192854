package input

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// packers are the forms of compression with the record of testdata/forms/one.* in
// each, as gzip, xz, bzip2 and zstd have made it.
var packers = []string{"gz", "xz", "bz2", "zst"}

func form1(t testing.TB, name string) []byte { return load(t, "forms/"+name) }

func TestCompressedInputIsReadByContent(t *testing.T) {
	t.Parallel()
	zeros := func(n int) []byte { return make([]byte, n) }
	type test struct {
		name string
		in   []byte
		want int
	}
	var tests []test
	for _, name := range packers {
		one := form1(t, "one."+name)
		tests = append(tests, test{name, one, 1},
			test{name + ", two members", slices.Concat(one, one), 2},
			test{name + ", zeros between", slices.Concat(one, zeros(512), one), 2},
			test{name + " in gzip", compress(t, slices.Concat(one, one)), 2},
			test{name + " in gzip three times", compress(t, compress(t, compress(t, one))), 1})
		for _, n := range []int{1, 2, 3, 4, 5, 511, 100_000} {
			tests = append(tests, test{name + ", zeros behind", slices.Concat(one, zeros(n)), 1})
		}
		if name == "xz" {
			continue // reads to the end by itself
		}
		for _, other := range packers {
			tests = append(tests, test{name + " and " + other, slices.Concat(one, form1(t, "one."+other)), 2})
		}
	}
	for _, name := range []string{"bcj.xz", "blocks.xz", "skippable.zst"} {
		tests = append(tests, test{name, form1(t, name), 1})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(NewReader(bytes.NewReader(tt.in)))
			if err != io.EOF || len(got) != tt.want || got[0] != (record{Type: 1420, Text: text}) {
				t.Errorf("got %v, %v, want %d records", got, err, tt.want)
			}
		})
	}
}

func TestDamagedCompressionIsTold(t *testing.T) {
	t.Parallel()
	for _, name := range packers {
		one := form1(t, "one."+name)
		for n := 4; n < len(one); n++ {
			if name == "xz" && n < 6 {
				continue // of its magic
			}
			got, err := read(NewReader(bytes.NewReader(one[:n])))
			var damage *DamageError
			if !errors.As(err, &damage) {
				t.Fatalf("%s: cut to %d of %d bytes: %d records, %v", name, n, len(one), len(got), err)
			}
		}
		for i := 12; i < len(one); i += 5 {
			broken := bytes.Clone(one)
			broken[i] ^= 0x55
			got, err := read(NewReader(bytes.NewReader(broken)))
			if err == io.EOF && (len(got) != 1 || got[0].Text != text) {
				t.Errorf("%s: byte %d: got %v and no error", name, i, got)
			}
		}
		for _, before := range []string{"type=1420 " + text + "\n", "type=1420 " + text + "\n\x00\x00"} {
			got, err := read(NewReader(strings.NewReader(before + string(one))))
			var unread *UnreadError
			if len(got) != 1 || !errors.As(err, &unread) || unread.Parts[0] != (Unread{1, reasons[causePacked]}) {
				t.Errorf("%s: text before: %d records, %v", name, len(got), err)
			}
		}
		got, err := read(NewReader(bytes.NewReader(append(bytes.Clone(one), "garbage\n"...))))
		var damage *DamageError
		if len(got) != 1 || !errors.As(err, &damage) {
			t.Errorf("%s: garbage behind: %d records, %v", name, len(got), err)
		}
	}
}

func TestLimitsOfDecompressionAreTold(t *testing.T) {
	t.Parallel()
	deep := form1(t, "one.gz")
	for range maxNesting {
		deep = compress(t, deep)
	}
	for name, tt := range map[string]struct {
		in   []byte
		want unpackError
	}{
		"xz with a window of 1 GiB":   {form1(t, "window.xz"), errMemory},
		"zstd with a window of 2 GiB": {form1(t, "window.zst"), errMemory},
		"compressed five times":       {deep, errNesting},
	} {
		_, err := read(NewReader(bytes.NewReader(tt.in)))
		var damage *DamageError
		if !errors.As(err, &damage) || damage.What != string(tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestBombIsNotReadOn has 64 MiB of zeros in a few kilobytes, and a limit lowered
// to 1 MiB. What is packed no denser than gzip can is read on beyond the limit.
func TestBombIsNotReadOn(t *testing.T) {
	t.Parallel()
	const line = "type=1420 " + text + "\n"
	content := append(make([]byte, 64<<20), line...)
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&bomb)
	r.limit = 1 << 20
	_, err = read(r)
	var damage *DamageError
	if !errors.As(err, &damage) || damage.What != string(errRatio) {
		t.Errorf("got %v", err)
	}
	r = NewReader(bytes.NewReader(compress(t, content)))
	r.limit = 1 << 20
	if got, err := read(r); err != io.EOF || len(got) != 1 {
		t.Errorf("gzip: got %v, %v", got, err)
	}
}

func TestOtherFormsAreNamedAndRefused(t *testing.T) {
	t.Parallel()
	tar := make([]byte, 1024)
	copy(tar, "audit.log")
	copy(tar[257:], "ustar\x0000")
	forms := map[string]string{"tar": string(tar)}
	for _, f := range refused {
		forms[f.form] = f.magic + strings.Repeat("\x01", 40)
	}
	for name, in := range forms {
		for _, in := range [][]byte{[]byte(in), compress(t, []byte(in))} {
			got, err := read(NewReader(bytes.NewReader(in)))
			var form *FormatError
			var unread *UnreadError
			if len(got) != 0 || !errors.As(err, &form) || !errors.As(err, &unread) || len(unread.Parts) != 1 {
				t.Errorf("%s: got %v, %v", name, got, err)
				continue
			}
			if form.Remedy == "" || !strings.Contains(err.Error(), "which is not read: ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
