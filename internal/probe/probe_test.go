package probe

import (
	"errors"
	"testing"
)

func TestWhatCannotBeToldIsUnknownAndSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	f := CannotTell("whether it is there", "root", errors.New("permission denied"))
	if !f.Unknown || f.Status != Warning || f.Advice == "" || f.Text != "cannot tell whether it is there: needs root (permission denied)" {
		t.Errorf("got %+v", f)
	}
	if f := Good("fine"); f.Status != OK || f.Advice != "" || f.Unknown {
		t.Errorf("got %+v", f)
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{"": true, "0": true, "4294967295": true, "root": true, "no-such-group": false, "-1": false} {
		if err := Group(name); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
	}
}
