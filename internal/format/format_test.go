package format

import (
	"encoding/json"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// denied is an ordinary denial, as Linux 6.12 records it.
func denied() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindAccess, Dialect: ipe.DialectMainline, Type: 1420,
		Has:  ipe.HasStamp | ipe.HasPID | ipe.HasIno,
		Time: 1795440956605, Serial: 590,
		Verdict: ipe.VerdictDenied, Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"),
		Comm: []byte("bash"), Path: []byte("/usr/local/bin/tool"), Dev: []byte("vda2"),
		Rule: []byte("DEFAULT op=EXECUTE action=DENY"),
		PID:  2204, Ino: 1024,
		RuleKind: ipe.RuleOpDefault, Action: ipe.ActionDeny,
		Enforcing: ipe.True,
		Raw: []byte(`audit(1795440956.605:590): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=2204 ` +
			`comm="bash" path="/usr/local/bin/tool" dev="vda2" ino=1024 rule="DEFAULT op=EXECUTE action=DENY"`),
	}
}

// context is that of a daemon with a spool.
func context() *Context {
	return &Context{Spool: 0x4f3a9c21, Seq: 12345, Host: "node7", BootID: "0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7"}
}

func BenchmarkAppendJSON(b *testing.B) {
	ev, c := denied(), context()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], ev, c)
	}
	b.SetBytes(int64(len(buf)))
	if !json.Valid(buf) {
		b.Fatalf("not JSON: %s", buf)
	}
}
