package activepolicy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// tape keeps the contexts of what is appended.
type tape []uint16

func (l *tape) Append(recs []spool.Record) spool.Cursor {
	for i := range recs {
		*l = append(*l, recs[i].Context)
	}
	return spool.Cursor{}
}

func deny(ms, serial int) spool.Record {
	return spool.Record{Type: ipe.TypeAccess, Data: fmt.Appendf(nil,
		`audit(1.%03d:%d): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=1 comm="a" path=? dev=? ino=? rule="DEFAULT action=DENY"`, ms, serial)}
}

func activation(ms, serial int, name string) spool.Record {
	return spool.Record{Type: ipe.TypeConfigChange, Data: fmt.Appendf(nil,
		`audit(1.%03d:%d): old_active_pol_name=? old_active_pol_version=? old_policy_digest=? new_active_pol_name="%s" new_active_pol_version=1.0.0 new_policy_digest=sha256:AB auid=1 ses=1 lsm=ipe res=1`, ms, serial, name)}
}

var own = spool.Record{Data: []byte(`{"event":"stopped"}`)}

func TestAnnotatorMarksRecords(t *testing.T) {
	t.Parallel()
	table := activepolicy.NewTable()
	var got tape
	w := activepolicy.NewAnnotator(&got, table)
	wants := func() bool {
		select {
		case <-w.NeedsRefresh():
			return true
		default:
			return false
		}
	}
	check := func(step string, want ...uint16) {
		t.Helper()
		if diff := cmp.Diff(tape(want), got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step, diff)
		}
		got = nil
	}

	w.Append([]spool.Record{deny(1, 1), own})
	check("unknown", 0, 0)
	if !wants() {
		t.Error("a reading is not wanted although nothing is known")
	}
	w.Append([]spool.Record{activation(2, 3, "lab"), deny(2, 2), deny(2, 4), own})
	check("activated", 1, 0, 1, 1)
	w.Append([]spool.Record{activation(3, 5, "next"), deny(4, 6), activation(5, 7, "lab"), deny(6, 8)})
	check("the same policy has the same number", 2, 2, 1, 1)
	w.Lost(1500)
	w.Append([]spool.Record{deny(7, 9), own})
	check("lost", 0, 0)
	if !wants() {
		t.Error("a reading is not wanted after a loss")
	}
	lab := table.Policy(1)
	w.Read(lab, 1600)
	w.Append([]spool.Record{deny(600, 10), deny(601, 11), own})
	check("read", 0, 1, 1)
	if wants() {
		t.Error("a reading is wanted although all is known")
	}
	if string(table.Policy(2).Name) != "next" || table.Policy(3) != nil || table.Policy(0) != nil {
		t.Error("the table does not say what the numbers mean")
	}
	again := activepolicy.NewAnnotator(&got, table)
	if !again.Resume(2) || again.Resume(9) {
		t.Error("Resume does not say what it knows")
	}
	again.Append([]spool.Record{deny(1, 1)})
	check("resumed", 2)
}

// TestMarkDoesNotTakeOneHostForAnother has records of two hosts, and events that
// say themselves what judged them.
func TestMarkDoesNotTakeOneHostForAnother(t *testing.T) {
	t.Parallel()
	var got tape
	w := activepolicy.NewAnnotator(&got, activepolicy.NewTable())
	from := func(host string, r spool.Record) spool.Record {
		im := entry.Imported{Type: r.Type, Host: []byte(host), Data: r.Data}
		return spool.Record{Type: entry.TypeImported, Data: entry.AppendImported(nil, &im)}
	}
	line := spool.Record{Data: []byte(`{"event":"access","verdict":"denied","host":"a"}`)}
	recs := []spool.Record{
		from("a", activation(0, 1, "lab")), from("a", deny(1, 2)), from("a", line), from("a", deny(3, 4)),
		from("b", deny(5, 6)), from("a", deny(7, 8)),
	}
	w.Annotate(recs)
	for i, want := range []uint16{1, 1, 0, 1, 0, 0} {
		if recs[i].Context != want {
			t.Errorf("record %d has context %d, want %d", i, recs[i].Context, want)
		}
	}
}

func TestMarkingAccessesDoesNotAllocate(t *testing.T) {
	w := activepolicy.NewAnnotator(nothing{}, activepolicy.NewTable())
	w.Append([]spool.Record{activation(1, 1, "lab")})
	settling := []spool.Record{deny(2, 2), deny(2, 3)}
	if n := testing.AllocsPerRun(100, func() { w.Append(settling) }); n != 0 {
		t.Errorf("settling: %v allocations", n)
	}
	later := deny(2, 2)
	later.Data = append([]byte("audit(9"), later.Data[len("audit(1"):]...)
	w.Append([]spool.Record{later})
	if n := testing.AllocsPerRun(100, func() { w.Append(settling) }); n != 0 {
		t.Errorf("settled: %v allocations", n)
	}
}

type nothing struct{}

func (nothing) Append([]spool.Record) spool.Cursor { return spool.Cursor{} }

func named(name string) *ipe.Policy {
	return &ipe.Policy{Name: []byte(name), Version: []byte("1.0.0"), Digest: []byte("sha256:ab")}
}

func unused(t *testing.T) func() uint16 {
	return func() uint16 { t.Error("the spool is searched although the table is there"); return 0 }
}

func TestTableOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	table, err := activepolicy.OpenTable(dir, func() uint16 { return 40 })
	if err != nil {
		t.Fatal(err)
	}
	odd := &ipe.Policy{Name: []byte("we\"i\xffrd"), Version: nil, Digest: []byte{}}
	if n := table.Number(odd); n != 41 {
		t.Fatalf("number %d, want 41: 40 may stand in an entry", n)
	}
	if err := table.Save(dir, false); err != nil {
		t.Fatal(err)
	}
	table.Number(named("unsaved")) // and the process is killed

	killed, err := activepolicy.OpenTable(dir, unused(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(odd, killed.Policy(41)); diff != "" {
		t.Errorf("policy 41 (-want +got):\n%s", diff)
	}
	if n := killed.Number(odd); n != 41 {
		t.Errorf("the same policy got number %d", n)
	}
	if p := killed.Policy(42); p != nil {
		t.Errorf("42 is %s, but nobody knows", p.Name)
	}
	n := killed.Number(named("other"))
	if n <= 42 {
		t.Errorf("number %d stands for two policies", n)
	}
	if err := killed.Save(dir, true); err != nil {
		t.Fatal(err)
	}
	ended, err := activepolicy.OpenTable(dir, unused(t))
	if err != nil {
		t.Fatal(err)
	}
	if next := ended.Number(named("third")); next != n+1 {
		t.Errorf("number %d follows %d after an orderly end", next, n)
	}
}

// TestTableGivesNoNumberThatACrashCouldGiveAgain wants no more numbers than a
// saved file has set aside.
func TestTableGivesNoNumberThatACrashCouldGiveAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	table, err := activepolicy.OpenTable(dir, func() uint16 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	highest := uint16(0)
	for i := range 100 {
		highest = max(highest, table.Number(named(fmt.Sprint(i))))
	}
	again, err := activepolicy.OpenTable(dir, unused(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := again.Number(named("x")); highest == 0 || n <= highest {
		t.Errorf("number %d is given again: %d was given before", n, highest)
	}
	if highest == 100 {
		t.Error("all got a number, although the table was not saved")
	}
	if err := table.Save(dir, false); err != nil {
		t.Fatal(err)
	}
	if n := table.Number(named("99")); n != highest+1 {
		t.Errorf("number %d after a save, want %d", n, highest+1)
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	table := activepolicy.NewTable()
	for i := range 5000 {
		n := table.Number(named(fmt.Sprint(i)))
		if want := i + 1; i < 4096 && n != uint16(want) || i >= 4096 && n != 0 {
			t.Fatalf("policy %d has number %d", i, n)
		}
	}
	if table.Refused() != 5000-4096 {
		t.Errorf("%d refused", table.Refused())
	}
	if n := table.Number(named("7")); n != 8 {
		t.Errorf("a known policy has number %d, want 8", n)
	}
	table = activepolicy.NewTable()
	if n := table.Number(named(strings.Repeat("n", 2000))); n != 0 || table.Refused() != 1 {
		t.Errorf("a name that no policy has: number %d, %d refused", n, table.Refused())
	}
}

func TestDamagedTableIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":        "",
		"no next":      `{"policies":[]}`,
		"next too low": `{"next":2,"policies":[{"number":2,"name":"a"}]}`,
		"number 0":     `{"next":2,"policies":[{"number":0,"name":"a"}]}`,
		"twice":        `{"next":3,"policies":[{"number":1,"name":"a"},{"number":1,"name":"b"}]}`,
		"hex":          `{"next":3,"policies":[{"number":1,"name":"a","name_hex":"x"}]}`,
		"too many":     `{"next":70000,"policies":[]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "policies.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := activepolicy.OpenTable(dir, func() uint16 { return 9 })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := table.Number(named("a")); n != 10 {
			t.Errorf("%s: number %d, want 10", name, n)
		}
	}
}

func TestTableThatIsNoFileIsNotRead(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"pipe":     func(path string) error { return unix.Mkfifo(path, 0o600) },
		"device":   func(path string) error { return os.Symlink("/dev/zero", path) },
		"link":     func(path string) error { return os.Symlink("/etc/passwd", path) },
		"folder":   func(path string) error { return os.Mkdir(path, 0o700) },
		"very big": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := put(filepath.Join(dir, "policies.json")); err != nil {
				t.Fatal(err)
			}
			if _, err := activepolicy.LoadTable(dir); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestTableThatCannotBeSavedGivesNoNumbers(t *testing.T) {
	t.Parallel()
	table, err := activepolicy.OpenTable(filepath.Join(t.TempDir(), "absent"), func() uint16 { return 0 })
	if err == nil {
		t.Error("no error")
	}
	if n := table.Number(named("a")); n != 0 {
		t.Errorf("number %d, but nothing of it is kept", n)
	}
}
