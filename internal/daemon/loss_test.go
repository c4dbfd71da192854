package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// sum adds up the counts of the events of a kind and stage.
func sum(all []event, kind ipe.Kind, stage string) (n uint64) {
	for _, ev := range of(all, kind) {
		if ev.Stage == stage {
			n += ev.Count
		}
	}
	return n
}

func TestForgeriesOnTheRealGroupAreRefusedCountedAndSaid(t *testing.T) {
	t.Parallel()
	forger, err := audittest.Forger()
	if err != nil {
		t.Skipf("needs an audit socket: %v", err)
	}
	defer forger.Close()
	dir := t.TempDir()
	o := options(dir, "a")
	probe, err := netlinkaudit.Listen(nil)
	if errors.Is(err, netlinkaudit.ErrPermission) || errors.Is(err, netlinkaudit.ErrUnavailable) || errors.Is(err, netlinkaudit.ErrForeignNamespace) {
		t.Skipf("needs CAP_AUDIT_READ in the initial namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	d := start(t, o)
	const forged = 7
	for n := range forged {
		if err := forger.Multicast(ipe.TypeAccess, denial(4_000_000+n)); err != nil {
			t.Skipf("needs CAP_NET_ADMIN to send to the group: %v", err)
		}
	}
	path := filepath.Join(dir, "a.json")
	eventually(t, "the forgeries are told", func() bool {
		return sum(events(t, path), ipe.KindForged, "socket") >= forged // other tests forge as well
	})
	d.end()
	for _, ev := range of(events(t, path), ipe.KindAccess) {
		if ev.PID >= 4_000_000 {
			t.Errorf("a forged record was believed: %+v", ev)
		}
	}
	for _, ev := range of(events(t, path), ipe.KindForged) {
		if ev.Accuracy != "exact" {
			t.Errorf("accuracy %q of a forgery, want exact", ev.Accuracy)
		}
	}
}

// TestOverrunsAreToldToTheRecord floods a daemon whose receive buffer is as
// small as the kernel allows, with what only a stopped receiver makes certain:
// that the buffer overflows.
func TestOverrunsAreToldToTheRecord(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	const flood = 3000
	sent := 0
	for round := range 3 {
		for range flood { // while nobody reads
			sent++
			send(t, group, ipe.TypeAccess, denial(sent))
		}
		o := options(dir, "a")
		o.Config.Source.ReceiveBuffer = 0
		o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
		o.Inherited.Audit = again(t, socket)
		d := start(t, o)
		eventually(t, fmt.Sprintf("everything of round %d is accounted for", round), func() bool {
			all := events(t, path)
			return len(of(all, ipe.KindAccess))+int(sum(all, ipe.KindLost, "socket")) >= sent
		})
		d.end()
	}
	all := events(t, path)
	received, lost := len(of(all, ipe.KindAccess)), int(sum(all, ipe.KindLost, "socket"))
	if received+lost != sent {
		t.Errorf("%d received and %d lost, but %d sent", received, lost, sent)
	}
	if lost == 0 {
		t.Error("nothing was lost: the buffer did not overflow, so this test shows nothing")
	}
	for _, ev := range of(all, ipe.KindLost) {
		if ev.Accuracy != "exact" {
			t.Errorf("accuracy %q, want exact", ev.Accuracy)
		}
	}
}

// TestDropsAreToldOnceOverRestarts kills the daemon after it told drops: the
// next one tells only the difference.
func TestDropsAreToldOnceOverRestarts(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	const flood = 2000
	for n := range flood {
		send(t, group, ipe.TypeAccess, denial(n))
	}
	accounted := func() bool {
		all := events(t, path)
		return len(of(all, ipe.KindAccess))+int(sum(all, ipe.KindLost, "socket")) >= flood
	}
	first := child(t, dir, socket)
	eventually(t, "the drops are told", accounted)
	eventually(t, "that is remembered", func() bool {
		_, err := os.Stat(filepath.Join(dir, "state", "ledger.json"))
		return err == nil
	})
	time.Sleep(200 * time.Millisecond) // the file is written right behind the event
	first.Process.Kill()
	first.Wait()
	before := sum(events(t, path), ipe.KindLost, "socket")
	if before == 0 {
		t.Fatal("nothing was dropped, so this test shows nothing")
	}
	second := child(t, dir, socket)
	second.Process.Signal(syscall.SIGTERM)
	second.Wait()
	seen := map[uint64]bool{}
	var after uint64
	for _, ev := range of(events(t, path), ipe.KindLost) {
		if !seen[ev.Seq] {
			seen[ev.Seq] = true
			after += ev.Count
		}
	}
	if after != before {
		t.Errorf("%d drops were told in all, but there were %d", after, before)
	}
}

// TestStuckSinksDoNotHoldUpTheReceiver has one sink that never opens and one
// that is well: the daemon takes everything, and the well one gets it.
func TestStuckSinksDoNotHoldUpTheReceiver(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "well")
	stuck := fileSink(filepath.Join(dir, "absent"), "stuck")
	o.Config.Sinks = append(o.Config.Sinks, stuck)
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	d := start(t, o)
	const n = 20_000
	for i := range n {
		send(t, group, ipe.TypeAccess, denial(i))
	}
	path := filepath.Join(dir, "well.json")
	eventually(t, "the well sink has everything", func() bool { return len(of(events(t, path), ipe.KindAccess)) == n })
	if lost := of(events(t, path), ipe.KindLost); len(lost) > 0 {
		t.Errorf("lost although the receiver was free: %+v", lost)
	}

	// Once it can, the other one gets everything too.
	if err := os.Mkdir(filepath.Join(dir, "absent"), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stuck sink has everything", func() bool {
		return len(of(events(t, stuck.Settings.(*file.Config).Path), ipe.KindAccess)) == n
	})
	d.end()
}

func TestAReaderThatFallsOffIsToldHowMuchItMissed(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "well")
	stuck := fileSink(filepath.Join(dir, "absent"), "stuck")
	o.Config.Sinks = append(o.Config.Sinks, stuck)
	o.Config.Spool.Size = units.MiB
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	core, said := observer.New(zap.WarnLevel)
	o.Log = zap.New(core)
	d := start(t, o)
	const n = 20_000 // of some 200 bytes
	for i := range n {
		send(t, group, ipe.TypeAccess, denial(i))
	}
	path := filepath.Join(dir, "well.json")
	eventually(t, "the well sink has everything", func() bool {
		all := events(t, path)
		return len(of(all, ipe.KindAccess))+int(sum(all, ipe.KindLost, "socket"))+int(sum(all, ipe.KindLost, "spool")) >= n
	})
	if err := os.Mkdir(filepath.Join(dir, "absent"), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stuck sink has the rest", func() bool {
		return len(of(events(t, stuck.Settings.(*file.Config).Path), ipe.KindAccess)) > 0
	})
	d.end()
	all := events(t, stuck.Settings.(*file.Config).Path)
	gap := of(all, ipe.KindLost)
	if len(gap) != 1 || gap[0].Stage != "spool" || gap[0].Accuracy != "exact" || gap[0].Seq != 0 {
		t.Fatalf("told %+v, want one exact loss in the spool without an identity", gap)
	}
	if g := gap[0]; g.Count != g.LastSeq-g.FirstSeq+1 || g.LastSeq+1 != all[1].Seq {
		t.Errorf("told %d missing from %d to %d, and the next is %d", g.Count, g.FirstSeq, g.LastSeq, all[1].Seq)
	}
	lines := said.FilterField(zap.String("sink", "stuck")).FilterField(zap.Uint64("known_to_be_missing", gap[0].Count))
	if lines.Len() != 1 {
		t.Errorf("the log says it %d times, want once; it says %v", lines.Len(), said.All())
	}
}

func TestInputWaitsForTheSlowestSink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(dir, "a")
	o.Config.Spool.Size = units.MiB
	var text []byte
	const n = 20_000
	for i := range n {
		text = append(text, "type=1420 msg="+denial(i+1)+"\n"...)
	}
	file := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	o.Input, o.InputName = in, file
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	all := events(t, filepath.Join(dir, "a.json"))
	if len(all) != n || all[n-1].PID != n {
		t.Errorf("%d events arrived, want %d", len(all), n)
	}
}

// slowSpool takes its time for each batch.
type slowSpool struct{ n int }

func (s *slowSpool) Append(recs []spool.Record) spool.Cursor {
	time.Sleep(2 * time.Millisecond) // what a busy disk may take
	s.n += len(recs)
	return spool.Cursor{}
}

// TestStopTakesWhatIsQueuedAtOurSocket stops a receiver that is far behind. The
// socket ends with the daemon, so what it holds must be taken before.
func TestStopTakesWhatIsQueuedAtOurSocket(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	conn, err := netlinkaudit.Listen(&netlinkaudit.Config{Types: ipe.Types(), ReadBuffer: 8 << 20, Protocol: audittest.Protocol, NetNS: group.NetNS()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 10_000
	for i := range n {
		send(t, group, ipe.TypeAccess, denial(i))
	}
	if drops, err := conn.Drops(); err != nil || drops > 0 {
		t.Skipf("the receive buffer cannot hold %d records here (%d dropped, %v)", n, drops, err)
	}
	d := &daemon{conn: conn, log: zap.NewNop()}
	slow := &slowSpool{}
	receiver := newReceiver(conn, activepolicy.NewAnnotator(slow, activepolicy.NewTable()))
	received := make(chan error, 1)
	go func() { received <- receiver.run() }()
	d.stopReceiving()
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	if slow.n != n {
		t.Errorf("%d records were taken, want all %d", slow.n, n)
	}
	send(t, group, ipe.TypeAccess, denial(n))
	if queued, err := conn.Queued(); err != nil || queued > 0 {
		t.Errorf("%d bytes are queued at a socket that nobody reads any more (%v)", queued, err)
	}
}
