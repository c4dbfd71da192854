package ipe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPolicyEqualsWhatHasTheSameParts(t *testing.T) {
	t.Parallel()
	p := Policy{Name: []byte("lab"), Version: []byte("1.0.0"), Digest: []byte("sha256:ab")}
	for _, tt := range []struct {
		name string
		q    Policy
		want bool
	}{
		{"itself", p, true},
		{"another name", Policy{[]byte("lob"), p.Version, p.Digest}, false},
		{"another version", Policy{p.Name, []byte("1.0.1"), p.Digest}, false},
		{"another digest", Policy{p.Name, p.Version, []byte("sha256:ac")}, false},
		{"no digest", Policy{p.Name, p.Version, nil}, false},
	} {
		if p.Equal(&tt.q) != tt.want || tt.q.Equal(&p) != tt.want {
			t.Errorf("%s: equal is not %v", tt.name, tt.want)
		}
	}
}

func TestACloneOfAPolicyOwnsItsMemory(t *testing.T) {
	t.Parallel()
	p := Policy{Name: []byte("lab"), Version: []byte{}}
	c := p.Clone()
	if d := cmp.Diff(p, c); d != "" {
		t.Fatalf("(-policy +clone):\n%s", d)
	}
	p.Name[0] = 'X'
	if string(c.Name) != "lab" {
		t.Errorf("the name of the clone changed to %q", c.Name)
	}
}

func TestBuiltIn(t *testing.T) {
	t.Parallel()
	name := []byte("p")
	ofNothing := []byte("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	got := []bool{
		(&Policy{}).BuiltIn(), (&Policy{Name: name}).BuiltIn(), (&Policy{Name: name, Digest: ofNothing}).BuiltIn(),
		(&Policy{Name: name, Digest: []byte("sha256:ab")}).BuiltIn(),
	}
	if diff := cmp.Diff([]bool{false, true, true, false}, got); diff != "" {
		t.Error(diff)
	}
}
