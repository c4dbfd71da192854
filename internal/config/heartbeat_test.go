package config

import (
	"testing"
	"time"
)

func TestHeartbeatIsOnWhereManyHostsAreHeard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		sink       string // type of one that is there already
		want       time.Duration
	}{
		{"nothing said", "", "", 0},
		{"a sink of this host", "", "file", 0},
		{"otlp", "", "otlp", 5 * time.Minute},
		{"nats", "", "nats", 5 * time.Minute},
		{"off", "heartbeat: off", "nats", 0},
		{"off in quotes", `heartbeat: "off"`, "nats", 0},
		{"nothing", "heartbeat: 0s", "nats", 0},
		{"asked for", "heartbeat: 90s", "", 90 * time.Second},
		{"asked for beside", "heartbeat: 1m", "otlp", time.Minute},
	} {
		l := loader{config: Defaults(), main: "x"}
		if tt.sink != "" {
			l.config.Sinks = []Sink{{Name: "s", Type: tt.sink}}
		}
		l.add("x", []byte(tt.text))
		c, _, err := l.result()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if time.Duration(c.Heartbeat) != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, c.Heartbeat, tt.want)
		}
	}
	for _, bad := range []string{"heartbeat: never", "heartbeat: true", "heartbeat: [5m]", "heartbeat: {}", "heartbeat:", "heartbeat: -5m"} {
		if _, _, err := Parse("x", []byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		} else {
			t.Log(err)
		}
	}
}
