package exec

import (
	"os"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

func TestConformanceOfStream(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		dir := t.TempDir()
		return place(t, dir, Config{Command: helper(t, "record", dir)})
	})
}

func TestConformanceOfEach(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		dir := t.TempDir()
		p := place(t, dir, Config{
			Command: script(t, "cd "+dir+`
				while [ -e hang ]; do sleep 0.01; done
				[ ! -e broken ]
				cat >>out`),
			Mode:         ModeEach,
			MaxPerMinute: plenty,
		})
		p.Most = 150
		return p
	})
}

// place is one whose command writes dir/out, fails if there is dir/broken and
// waits while there is dir/hang.
func place(t testing.TB, dir string, o Config) *sinktest.Place {
	s, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.grace = 50 * time.Millisecond
	create := func(name string) func() {
		return func() {
			if err := os.WriteFile(dir+name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func() {
		return func() {
			if err := os.Remove(dir + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &sinktest.Place{
		Sink:    s,
		Entries: func() ([][]byte, error) { return sinktest.Lines([]byte(content(t, dir+"/out"))) },
		Break:   create("/broken"),
		Repair:  remove("/broken"),
		Hang:    create("/hang"),
		Resume:  remove("/hang"),
	}
}
