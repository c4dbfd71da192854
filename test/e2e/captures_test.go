package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dropIn is read from the second run on. DIR is the folder of the farm.
const dropIn = `
sinks:
  - {name: new, type: file, path: DIR/new}
  - {name: history, type: file, path: DIR/history, from: oldest}
  - {name: tls, type: syslog, address: "tls://127.0.0.1:6515", rfc: 5424, sd_id: e2e@32473, from: oldest,
     ca: DIR/ca.pem, cert: DIR/peer.pem, key: DIR/peer.key}
`

// TestEveryReceiverHasTheCapturesOnceInOrder feeds the program with all that was
// recorded, of each kernel in a run of its own. Sinks that are new in the second
// run have that one, or both.
func TestEveryReceiverHasTheCapturesOnceInOrder(t *testing.T) {
	t.Parallel()
	if drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so"); len(drivers) == 0 {
		t.Skip("needs rsyslog's TLS driver (rsyslog-gnutls)")
	}
	f := newFarm(t)
	program := built(t)

	older := f.replay(program, "6.12")
	certify(f)
	f.syslogd("tls", fmt.Sprintf(`global(defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%[1]s/ca.pem"
			defaultNetstreamDriverCertFile="%[1]s/peer.pem" defaultNetstreamDriverKeyFile="%[1]s/peer.key")
		module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["e2e.test"])
		input(type="imtcp" address="127.0.0.1" port="6515")`, f.dir)).start()
	check(t, os.Mkdir(f.path("conf.d"), 0o700))
	check(t, os.WriteFile(f.path("conf.d/new.yaml"), []byte(strings.ReplaceAll(dropIn, "DIR", f.dir)), 0o600))
	newer := f.replay(program, "7.3")

	var want expectation
	for form := range want {
		want[form] = append(older[form], newer[form]...)
	}
	for _, p := range append(places(),
		place{name: "history", form: formJSON, read: func(f *farm) []delivery { return jsonLines(f, lines(f.read("history"))) }},
		place{name: "tls", form: formMessage, read: func(f *farm) []delivery { return readSyslog(f, "tls") }},
	) {
		if len(want.at(p)) < 50 {
			t.Fatalf("%d events for %s: the test is broken", len(want.at(p)), p.name)
		}
		f.wait(p, want.at(p))
		f.verify(p, want.at(p), exactlyOnce)
	}
	f.verify(place{name: "new", form: formJSON, read: func(f *farm) []delivery {
		all := jsonLines(f, lines(f.read("new")))
		for i := range all {
			all[i].seq -= uint64(len(older[formJSON]))
		}
		return all
	}}, newer[formJSON], exactlyOnce)
}

// replay runs the program on the captures of a kernel, and returns what
// receivers should have of them.
func (f *farm) replay(program, kernel string) expectation {
	f.t.Helper()
	files, err := filepath.Glob("../captures/" + kernel + "/*.nlcap")
	check(f.t, err)
	if len(files) == 0 {
		f.t.Fatalf("no captures of %s", kernel)
	}
	var all []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		check(f.t, err)
		all = append(all, b...)
	}
	input := f.path(kernel + ".nlcap")
	check(f.t, os.WriteFile(input, all, 0o600))
	cmd := exec.Command(program, "--config", f.path("conf.yaml"), "--input", input, "--timeout", patience.String())
	cmd.Env = append(os.Environ(), "TZ=UTC")
	run := f.start(cmd)
	<-run.done
	if run.err != nil {
		f.t.Fatalf("--input of %s: %v\n%s", kernel, run.err, f.said())
	}
	return expect(f.t, program, input)
}
