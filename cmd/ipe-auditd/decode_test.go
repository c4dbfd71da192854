package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// datagram returns a record as a capture has it; missing bytes of it are told
// by its header only.
func datagram(typ uint16, text string, missing int) []byte {
	size := 16 + len(text)
	p := binary.LittleEndian.AppendUint64(nil, 1_000_000_000)
	p = binary.LittleEndian.AppendUint32(p, 0)
	p = binary.LittleEndian.AppendUint32(p, uint32(size))
	p = binary.LittleEndian.AppendUint32(p, uint32(size+missing))
	p = binary.LittleEndian.AppendUint16(p, typ)
	p = append(p, make([]byte, 10)...)
	return append(p, text...)
}

func TestDecodeTakesACaptureAtItsWord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{
			"a type that is none", datagram(0, `event="lost" count=7`, 0), "",
		},
		{
			"a record whose end is missing", datagram(1422, `audit(1.000:2): policy_name="lab" policy_version=1.0`, 2),
			`{"time":"1970-01-01T00:00:01.000Z","serial":2,"type":1422,"event":"unparsed","dialect":"mainline",` +
				`"raw":"audit(1.000:2): policy_name=\"lab\" policy_version=1.0"}` + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			cmd := newDecode()
			cmd.SetIn(bytes.NewReader(tt.in))
			cmd.SetOut(&out)
			cmd.SetArgs([]string{})
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, out.String()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
