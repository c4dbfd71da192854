package activepolicy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The records of the tests, by name.
func records() map[string]string {
	const stamp = "audit(1.000:2): "
	access := func(enforcing int) string {
		return fmt.Sprintf(`1420 %sipe_op=EXECUTE ipe_hook=MMAP enforcing=%d pid=1 comm="a" path=? dev=? ino=? rule="DEFAULT action=DENY"`, stamp, enforcing)
	}
	activate := func(name, version, res string) string {
		return fmt.Sprintf(`1421 %sold_active_pol_name=? old_active_pol_version=? old_policy_digest=? new_active_pol_name="%s" new_active_pol_version=%s new_policy_digest=sha256:AB auid=1 ses=1 lsm=ipe res=%s`, stamp, name, version, res)
	}
	return map[string]string{
		"denied": access(1), "would": access(0),
		"a1": activate("a", "1.0.0", "1"), "b2": activate("b", "2.0.0", "1"), "failed": activate("c", "3.0.0", "0"),
		"load":        "1422 " + stamp + `policy_name="z" policy_version=9.0.0 policy_digest=sha256:CD auid=1 ses=1 lsm=ipe res=1`,
		"nameless":    "1421 " + stamp + ` auid=1 ses=1 lsm=ipe res=1`,
		"on":          "1404 " + stamp + `enforcing=1 old_enforcing=0 lsm=ipe res=1`,
		"off":         "1404 " + stamp + `enforcing=0 old_enforcing=1 lsm=ipe res=1`,
		"started":     `0 {"event":"started","ipe_status":"active","enforcing":true,"policy_name":"s","policy_version":"0.0.1","policy_digest":"sha256:EF"}`,
		"built-in":    `0 {"event":"started","ipe_status":"active","policy_name":"boot","policy_version":"0.0.0"}`,
		"none":        `0 {"event":"started","ipe_status":"no_policy","enforcing":true}`,
		"unreadable":  `0 {"event":"started","ipe_status":"unreadable"}`,
		"stopped":     `0 {"event":"stopped"}`,
		"lost":        `0 {"event":"lost","count":1,"accuracy":"exact","stage":"socket"}`,
		"lost?":       `0 {"event":"lost","accuracy":"unknown","stage":"disk"}`,
		"memory":      `0 {"event":"lost","count":0,"accuracy":"exact","stage":"disk"}`,
		"forged":      `0 {"event":"forged","count":3,"accuracy":"exact","stage":"socket"}`,
		"torn access": "1420 " + stamp + `ipe_op=EXECUTE ipe_hook=`,
		"torn change": "1421 " + stamp + `old_active_pol_name="a`,
	}
}

func describe(s State) string {
	mode := map[ipe.Bool]string{ipe.Unknown: "?", ipe.False: "permissive", ipe.True: "enforcing"}[s.Enforcing]
	switch {
	case !s.Known:
		return "? " + mode
	case !s.Active:
		return "none " + mode
	}
	built := ""
	if s.Policy.BuiltIn() {
		built = " built-in"
	}
	return fmt.Sprintf("%s %s %s%s %s", s.Policy.Name, s.Policy.Version, s.Policy.Digest, built, mode)
}

func TestTracker(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{
		"":                  "? ?",
		"denied":            "? enforcing",
		"a1":                "a 1.0.0 sha256:ab ?",
		"a1,would":          "a 1.0.0 sha256:ab permissive",
		"a1,b2,denied":      "b 2.0.0 sha256:ab enforcing",
		"a1,failed":         "a 1.0.0 sha256:ab ?",
		"a1,load":           "a 1.0.0 sha256:ab ?",
		"a1,nameless":       "? ?",
		"a1,on,off":         "a 1.0.0 sha256:ab permissive",
		"a1,on,lost":        "? ?",
		"a1,on,lost?":       "? ?",
		"a1,on,lost,denied": "? enforcing",
		"a1,on,lost,b2":     "b 2.0.0 sha256:ab ?",
		"a1,on,memory":      "a 1.0.0 sha256:ab enforcing",
		"a1,on,forged":      "a 1.0.0 sha256:ab enforcing",
		"a1,on,stopped":     "a 1.0.0 sha256:ab enforcing",
		"a1,on,torn access": "a 1.0.0 sha256:ab enforcing",
		"a1,on,torn change": "? ?",
		"started":           "s 0.0.1 sha256:EF enforcing",
		"a1,started":        "s 0.0.1 sha256:EF enforcing",
		"a1,on,unreadable":  "? ?",
		"built-in":          "boot 0.0.0  built-in ?",
		"none":              "none enforcing",
		"none,denied":       "? enforcing",
		"none,a1":           "a 1.0.0 sha256:ab enforcing",
		"started,none":      "none enforcing",
		"a1,started,lost":   "? ?",
	} {
		var tr Tracker
		var d entry.Decoder
		var ev ipe.Event
		var id format.Identity
		for _, name := range strings.FieldsFunc(stream, func(r rune) bool { return r == ',' }) {
			text, ok := records()[name]
			if !ok {
				t.Fatalf("no record %q", name)
			}
			var typ uint16
			fmt.Sscan(text, &typ)
			_, text, _ = strings.Cut(text, " ")
			line := []byte(text)
			if class := d.Decode(&ev, &id, &spool.Entry{Type: typ, Data: line}); class != ipe.ClassIPE {
				t.Fatalf("%s: %v", name, class)
			}
			tr.Observe(&ev)
			clear(line) // the tracker has its own
		}
		if got := describe(tr.State()); got != want {
			t.Errorf("%s: got %s, want %s", stream, got, want)
		}
	}
}

func TestAccessThatNamesItsPolicyIsEvidence(t *testing.T) {
	t.Parallel()
	var tr Tracker
	ev := ipe.Event{Kind: ipe.KindAccess, Enforcing: ipe.True, ActivePolicy: ipe.Policy{Name: []byte("p"), Version: []byte("1.2.3")}}
	tr.Observe(&ev)
	if got, want := describe(tr.State()), "p 1.2.3  built-in enforcing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestObserveOfAnAccessDoesNotAllocate(t *testing.T) {
	var tr Tracker
	tr.Observe(&ipe.Event{Kind: ipe.KindPolicyActivate, Has: ipe.HasStamp, Time: 1, Policy: ipe.Policy{Name: []byte("p")}})
	ev := ipe.Event{Kind: ipe.KindAccess, Enforcing: ipe.True, Has: ipe.HasStamp, Time: 1}
	if n := testing.AllocsPerRun(100, func() { tr.Observe(&ev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
