package seal

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// host is a spool that is sealed.
type host struct {
	t       testing.TB
	dir     string
	spool   *spool.Spool
	sealer  *Sealer
	signer  note.Signer
	key     note.Verifier
	context format.Context
}

// keyPair makes a key.
func keyPair(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "seal.key")
	public, err := Generate(file, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ReadSigner(file, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, key
}

var boot = [16]byte{1}

func newHost(t testing.TB, every int) *host {
	h := &host{t: t, dir: t.TempDir()}
	h.signer, h.key = keyPair(t, "web1")
	h.open(every)
	return h
}

func (h *host) open(every int) {
	h.t.Helper()
	s, err := spool.Open(spool.Options{Dir: h.dir, BootID: boot})
	if err != nil {
		h.t.Fatal(err)
	}
	h.spool = s
	h.sealer = New(s, Options{
		Signer: h.signer, Every: every, Interval: time.Hour, File: filepath.Join(h.dir, "seal.json"),
		Host: func() []byte { return []byte("web1") },
		Emit: func(ev *ipe.Event) {
			line := format.AppendJSON(nil, ev, &h.context)
			s.Append([]spool.Record{{Type: entry.TypeInternal, Time: time.Now().UnixNano(), Data: line}})
		},
	})
	h.t.Cleanup(func() { s.Close() })
}

// record appends n denials, and lets the sealer see them.
func (h *host) record(n int) {
	for range n {
		seq := h.spool.Append(nil).Seq + 1
		text := fmt.Sprintf(`audit(1795440701.244:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`, seq)
		h.spool.Append([]spool.Record{{Type: 1420, Time: time.Now().UnixNano(), Data: []byte(text)}})
		for {
			e, ok, err := h.sealer.source.TryNext()
			if err != nil {
				h.t.Fatal(err)
			}
			if !ok {
				break
			}
			h.sealer.add(e)
		}
	}
}

func (h *host) close() {
	h.t.Helper()
	h.sealer.Finish()
	if err := h.sealer.Close(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.spool.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// lines returns the file that a sink would have written.
func (h *host) lines(raw bool) (lines [][]byte) {
	h.t.Helper()
	entries, err := segment.OpenOffline(h.dir, boot, time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer entries.Close()
	d := entry.Decoder{Host: []byte("web1")}
	for {
		e, err := entries.Next()
		if err != nil {
			return lines
		}
		var ev ipe.Event
		c := format.Context{Raw: raw}
		d.Decode(&ev, &c.Identity, e)
		lines = append(lines, format.AppendJSON(nil, &ev, &c))
	}
}

func (h *host) verify(lines [][]byte, anchors ...[]byte) *Report {
	h.t.Helper()
	v := NewVerifier([]note.Verifier{h.key})
	if err := v.Lines("anchors", bytes.NewReader(bytes.Join(anchors, nil)), true); err != nil {
		h.t.Fatal(err)
	}
	if err := v.Lines("events.json", bytes.NewReader(bytes.Join(lines, nil)), false); err != nil {
		h.t.Fatal(err)
	}
	return v.Report()
}

func (h *host) verifySpool() *Report {
	h.t.Helper()
	entries, err := segment.OpenOffline(h.dir, boot, time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer entries.Close()
	v := NewVerifier([]note.Verifier{h.key})
	if err := v.Entries(h.dir, &entry.Decoder{}, entries.Next); err != nil {
		h.t.Fatal(err)
	}
	return v.Report()
}

func TestWhatIsUntouchedIsUnalteredAndComplete(t *testing.T) {
	t.Parallel()
	h := newHost(t, 4)
	h.record(9)
	h.close()
	h.open(4) // goes on with the tree
	h.record(6)
	h.close()
	for _, raw := range []bool{false, true} {
		lines := h.lines(raw)
		r := h.verify(lines)
		if r.ExitCode() != 0 || len(r.Spools) != 1 || r.Spools[0].Behind != 1 || r.Spools[0].Size != uint64(len(lines)-1) {
			t.Errorf("raw %v: exit %d, %s", raw, r.ExitCode(), r.AppendText(nil))
		}
	}
	if r := h.verifySpool(); r.ExitCode() != 0 {
		t.Errorf("the spool: exit %d, %s", r.ExitCode(), r.AppendText(nil))
	}
	h.key = func() note.Verifier { _, k := keyPair(t, "web1"); return k }()
	if r := h.verify(h.lines(false)); r.ExitCode() != 2 {
		t.Errorf("another key: exit %d, %s", r.ExitCode(), r.AppendText(nil))
	}
}

func TestEachBitThatIsFlippedIsFound(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		h := newHost(t, 2)
		h.record(2)
		h.close()
		text := bytes.Join(h.lines(raw), nil)
		for at := range text {
			for bit := range 8 {
				text[at] ^= 1 << bit
				r := h.verify([][]byte{text})
				if code := r.ExitCode(); code == 0 || r.Integrity == Unaltered && r.Completeness == Complete {
					t.Errorf("raw %v, bit %d of byte %d: exit %d: %s in %q", raw, bit, at, code, r.AppendText(nil), text[max(at-20, 0):min(at+20, len(text))])
				}
				text[at] ^= 1 << bit
			}
		}
	}
}

func TestEachBitOfASpoolThatIsFlippedIsFound(t *testing.T) {
	t.Parallel()
	h := newHost(t, 3)
	h.record(4)
	h.close()
	files, err := filepath.Glob(filepath.Join(h.dir, "*"+segment.Suffix))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		at, bit := segment.HeaderSize+random.IntN(len(text)-segment.HeaderSize), random.IntN(8)
		text[at] ^= 1 << bit
		if err := os.WriteFile(files[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := h.verifySpool(); r.ExitCode() == 0 {
			t.Errorf("bit %d of byte %d of %d: %s", bit, at, len(text), r.AppendText(nil))
		}
		text[at] ^= 1 << bit
	}
}

func TestWhatWasDoneToAFileIsFound(t *testing.T) {
	t.Parallel()
	h := newHost(t, 4)
	h.record(13)
	h.close()
	intact := h.lines(false)
	n := len(intact)
	isCheckpoint := func(line []byte) bool { return bytes.Contains(line, []byte(`"event":"checkpoint"`)) }
	var checkpoints []int
	for i, line := range intact {
		if isCheckpoint(line) {
			checkpoints = append(checkpoints, i)
		}
	}
	other := newHost(t, 4)
	other.record(13)
	other.close()
	for name, tt := range map[string]struct {
		lines   [][]byte
		anchors [][]byte
		code    int
		text    string
	}{
		"untouched":            {lines: intact, code: 0},
		"one line twice":       {lines: slices.Insert(slices.Clone(intact), 3, intact[2]), code: 0, text: "1 repeats"},
		"delivered again":      {lines: slices.Concat(intact[:7], intact[3:]), code: 0, text: "4 repeats"},
		"a line removed":       {lines: slices.Delete(slices.Clone(intact), 5, 6), code: 3, text: "missing: seq 6 to 6"},
		"the first removed":    {lines: intact[2:], code: 3, text: "missing: seq 1 to 2"},
		"without a checkpoint": {lines: slices.Delete(slices.Clone(intact), checkpoints[1], checkpoints[1]+1), code: 2, text: "no checkpoint here vouches for"},
		"two lines swapped":    {lines: slices.Concat(intact[:2], [][]byte{intact[3], intact[2]}, intact[4:]), code: 1, text: "out of order"},
		"all reversed":         {lines: func() [][]byte { l := slices.Clone(intact); slices.Reverse(l); return l }(), code: 1, text: "out of order"},
		"no checkpoints": {lines: slices.DeleteFunc(slices.Clone(intact), func(l []byte) bool {
			return bytes.Contains(l, []byte(`"event":"checkpoint"`))
		}), code: 2, text: "nothing vouches"},
		"the end cut off":              {lines: intact[:checkpoints[1]+1], code: 0},
		"the end cut off, with anchor": {lines: intact[:checkpoints[1]+1], anchors: intact[n-1:], code: 2, text: "missing"},
		"restored, with all anchors":   {lines: intact[:checkpoints[1]+1], anchors: intact, code: 3, text: "missing"},
		"an alien line":                {lines: slices.Insert(slices.Clone(intact), 2, []byte("{}\n")), code: 1, text: "no event"},
		"a line of another host":       {lines: slices.Insert(slices.Clone(intact), 2, other.lines(false)[0]), code: 2},
		"nothing":                      {code: 2, text: "There is no event"},
		"only the last line":           {lines: intact[n-1:], code: 3, text: "missing"},
		"a field exchanged":            {lines: slices.Concat([][]byte{bytes.Replace(intact[0], []byte("/tmp/true"), []byte("/tmp/trux"), 1)}, intact[1:]), code: 1, text: "not what was sealed"},
		"another host named":           {lines: slices.Concat([][]byte{bytes.Replace(intact[0], []byte(`"web1"`), []byte(`"web2"`), 1)}, intact[1:]), code: 1, text: "that no checkpoint has"},
		"a leaf removed as well": {lines: slices.Concat(intact[1:checkpoints[0]], [][]byte{func() []byte {
			l := intact[checkpoints[0]]
			i := bytes.Index(l, []byte(`"leaves":"`)) + len(`"leaves":"`)
			return slices.Delete(slices.Clone(l), i, i+leafText)
		}()}, intact[checkpoints[0]+1:]), code: 1, text: "leaves that its note speaks of"},
	} {
		r := h.verify(tt.lines, tt.anchors...)
		if got := string(r.AppendText(nil)); r.ExitCode() != tt.code || !strings.Contains(got, tt.text) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s", name, r.ExitCode(), tt.code, tt.text, got)
		}
	}
}

// TestWhatWasLostBeforeItWasSealedIsMissing loses the sealer's place in a spool that
// gives up entries.
func TestWhatWasLostBeforeItWasSealedIsMissing(t *testing.T) {
	t.Parallel()
	h := newHost(t, 100)
	h.record(5)
	e := spool.Entry{ID: h.sealer.id, Seq: 9, Type: 1420, Data: []byte("audit(1.000:1): ipe_op=EXECUTE rule=\"DEFAULT action=DENY\"")}
	h.sealer.add(&e)
	if h.sealer.tree.Size() != 9 || h.sealer.pending[7] != missing || h.sealer.pending[4] == missing {
		t.Errorf("%d leaves: %v", h.sealer.tree.Size(), h.sealer.pending)
	}
}

func TestTreeIsThatOfTlog(t *testing.T) {
	t.Parallel()
	var tree Tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, err error) {
		for _, i := range indexes {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for n := range int64(70) {
		leaf := Leaf{byte(n)}
		hashes, err := tlog.StoredHashes(n, leaf[:], reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		tree.Append(&leaf)
		if want, err := tlog.TreeHash(n+1, reader); err != nil || tree.Root() != want {
			t.Fatalf("%d leaves: %v, want %v (%v)", n+1, tree.Root(), want, err)
		}
	}
}

func TestKeysOthersMayReadAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "k")
	if _, err := Generate(file, "web1"); err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(file, "web1"); err == nil {
		t.Error("a key was overwritten")
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSigner(file, os.Geteuid()); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("mode 0640: %v", err)
	}
	if _, err := ReadSigner(file+".pub", os.Geteuid()); err == nil {
		t.Error("a public key was taken")
	}
	if _, err := ParseVerifier(file + ".pub"); err != nil {
		t.Error(err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	signer, key := keyPair(f, "web1")
	tree := Tree{}
	for n := range 5 {
		tree.Append(&Leaf{byte(n)})
	}
	c := Checkpoint{Spool: 7, Time: 5, Host: "web\x00é", Boot: "b", Size: 9, from: tree}
	text, err := c.Sign(signer)
	if err != nil {
		f.Fatal(err)
	}
	if got, err := Open(text, []note.Verifier{key}); err != nil || got.Host != c.Host || got.from.Root() != tree.Root() {
		f.Fatal(got, err)
	}
	body, _, _ := strings.Cut(string(text), "\n\n")
	f.Add(body + "\n")
	f.Add("web1/0000000000000007\n1\nAAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(text, "web1")
		if err != nil {
			return
		}
		signed, err := c.Sign(signer)
		if err != nil {
			return // control characters
		}
		if body, _, _ := strings.Cut(string(signed), "\n\n"); body+"\n" != text {
			t.Errorf("%q was read as %q", text, body)
		}
	})
}

func FuzzLines(f *testing.F) {
	_, key := keyPair(f, "web1")
	f.Add([]byte("{}\n\n"), []byte(`{"spool":"0000000000000007","seq":9,"event":"checkpoint","size":1,"root":"","note":"","leaves":""}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		v := NewVerifier([]note.Verifier{key})
		if err := v.Lines("a", bytes.NewReader(a), false); err != nil {
			t.Fatal(err)
		}
		if err := v.Lines("b", bytes.NewReader(b), true); err != nil {
			t.Fatal(err)
		}
		if r := v.Report(); r.ExitCode() == 0 {
			t.Errorf("%q is said to be sealed: %s", a, r.AppendText(nil))
		}
	})
}

func TestRunSealsByNumberAndTime(t *testing.T) {
	t.Parallel()
	h := newHost(t, 1000)
	h.sealer.options.Interval = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); h.sealer.Run(ctx) }()
	r := h.spool.NewReader(spool.Start{})
	defer r.Close()
	h.spool.Append([]spool.Record{{Type: 1420, Data: []byte("audit(1.000:1): ipe_op=EXECUTE rule=\"DEFAULT action=DENY\"")}})
	for {
		e, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(e.Data, []byte(`"event":"checkpoint"`)) {
			break
		}
	}
	cancel()
	<-ended
	h.close()
	if report := h.verifySpool(); report.ExitCode() != 0 {
		t.Errorf("exit %d: %s", report.ExitCode(), report.AppendText(nil))
	}
}

func BenchmarkSeal(b *testing.B) {
	h := newHost(b, 1000)
	h.sealer.options.Emit = func(*ipe.Event) {}
	h.sealer.options.File = ""
	e := spool.Entry{ID: h.sealer.id, Type: 1420, Data: []byte(`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`)}
	b.ReportAllocs()
	for b.Loop() {
		e.Seq++
		h.sealer.add(&e)
	}
}

func TestWhoAskedIsSealed(t *testing.T) {
	t.Parallel()
	ev := ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny}
	id := format.Identity{Spool: 7, Seq: 1}
	var hash hasher
	without := hash.leaf(&ev, &id)
	ev.Caller.Cgroup, ev.Caller.Context = []byte("/a"), ipe.ContextProc
	with := hash.leaf(&ev, &id)
	ev.Caller.Cgroup = []byte("/b")
	other := hash.leaf(&ev, &id)
	if !with.same(&without, true) || !with.same(&other, true) || with.sameCaller(&without) || with.sameCaller(&other) {
		t.Errorf("leaves %x, %x, %x", without, with, other)
	}
	// A line that says more than was sealed is neither altered nor unaltered.
	h := newHost(t, 100)
	h.record(2)
	h.close()
	lines := h.lines(false)
	lines[0] = bytes.Replace(lines[0], []byte(`,"rule_kind"`), []byte(`,"unit":"sshd.service","rule_kind"`), 1)
	if r := h.verify(lines); r.ExitCode() != 2 || r.Spools[0].Callers != 1 {
		t.Errorf("exit %d: %s", r.ExitCode(), r.AppendText(nil))
	}
}
