package journaltest

import (
	"encoding/json"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStartRunsAJournald(t *testing.T) {
	j := Start(t)
	c, err := net.Dial("unixgram", j.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range []string{"MESSAGE=one\nTWICE=a\nTWICE=b\n", "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"} {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range j.Entries(t, "_TRANSPORT=journal") {
		if e.Get("_COMM") != "systemd-journal" {
			got = append(got, e.Get("MESSAGE"))
			got = append(got, e["TWICE"]...)
		}
	}
	if diff := cmp.Diff([]string{"one", "a", "b", "a\nb"}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestQueueSurvivesARestart(t *testing.T) {
	j := Start(t)
	c, err := net.Dial("unixgram", j.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	j.Kill(t)
	if _, err := c.Write([]byte("MESSAGE=queued\n")); err != nil {
		t.Fatal(err)
	}
	j.Restart(t)
	if n := len(j.Entries(t, "MESSAGE=queued")); n != 1 {
		t.Errorf("got %d entries, want 1", n)
	}
}

func TestStandaloneTakesItsSocketAway(t *testing.T) {
	j := Start(t, Standalone())
	c, err := net.Dial("unixgram", j.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	j.Kill(t)
	if _, err := c.Write([]byte("MESSAGE=nobody hears\n")); err == nil {
		t.Error("journald is gone, but its socket takes entries")
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       []string
	}{
		{"string", `"a"`, []string{"a"}},
		{"bytes", `[97,255,10]`, []string{"a\xff\n"}},
		{"several", `["a",[98,0]]`, []string{"a", "b\x00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := values(json.RawMessage(tt.json))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
