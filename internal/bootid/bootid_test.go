package bootid

import (
	"strings"
	"testing"
)

func TestIDRoundTrips(t *testing.T) {
	t.Parallel()
	const text = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
	id, err := Parse(text)
	if err != nil || id.String() != text {
		t.Errorf("Parse(%q) = %v, %v", text, id, err)
	}
	for _, bad := range []string{"", "0a1b", text + "00", strings.Replace(text, "a", "x", 1)} {
		if id, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", bad, id)
		}
	}
	if id, err := Current(); err != nil || id == (ID{}) {
		t.Errorf("Current() = %v, %v", id, err)
	}
}

func TestIDIsWrittenAsTheKernelDoes(t *testing.T) {
	t.Parallel()
	id := ID{0x6b, 0x1c, 0x2f, 0x0e, 0x94, 0x3d, 0x4a, 0x55, 0x8d, 0x10, 0, 1, 2, 3, 4, 5}
	if got, want := id.String(), "6b1c2f0e-943d-4a55-8d10-000102030405"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (ID{}).String(); got != "" {
		t.Errorf("got %q for an unknown id, want nothing", got)
	}
}
