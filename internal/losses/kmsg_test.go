package losses

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseKmsgBelievesOnlyTheKernel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		record string
		want   kmsgLine
	}{
		{"4,1234,5678,-;audit: audit_lost=17 audit_rate_limit=0 audit_backlog_limit=64\n", kmsgLine{finding: kmsgLost, number: 17}},
		{"4,1234,5678,-,caller=T1;audit: audit_lost=4294967295 audit_rate_limit=0 audit_backlog_limit=64\n SUBSYSTEM=x\n", kmsgLine{finding: kmsgLost, number: 4294967295}},
		{"3,1234,5678,-;audit: kauditd hold queue overflow\n", kmsgLine{finding: kmsgOverflow}},
		{"3,1234,5678,-;audit: kauditd retry queue overflow\n", kmsgLine{finding: kmsgOverflow, retry: true}},
		{"4,1234,5678,-;audit: audit_backlog=65 > audit_backlog_limit=64\n", kmsgLine{finding: kmsgBacklog}},
		{"3,1234,5678,-;audit: backlog limit exceeded\n", kmsgLine{finding: kmsgReason}},
		{"5,1234,5678,-;audit: type=1420 audit(1795440701.244:47): ipe_op=EXECUTE comm=\"audit_lost=5\"\n", kmsgLine{finding: kmsgRecord, serial: 47}},
		{"5,1234,5678,-;audit: type=1300 audit(1795440701.244:48): arch=c000003e\n", kmsgLine{finding: kmsgRecord, serial: 48, enabled: true}},
		{"4,1234,5678,-;kauditd_printk_skb: 5122 callbacks suppressed\n", kmsgLine{finding: kmsgSuppressed, number: 5122, audit: true}},
		{"4,1234,5678,-;audit_log_start: 2 callbacks suppressed\n", kmsgLine{finding: kmsgSuppressed, number: 2, audit: true}},
		{"4,1234,5678,-;show_signal_msg: 9 callbacks suppressed\n", kmsgLine{finding: kmsgSuppressed, number: 9}},
		{"6,1234,5678,-;crash[77]: segfault at 0 ip 0000000000401000 sp 00007ffd error 4 in crash[401000+1000]\n", kmsgLine{finding: kmsgOther}},
		{"6,1234,5678,-;traps: crash[77] trap divide error ip:401000 sp:7ffd error:0 in crash[401000+1000]\n", kmsgLine{finding: kmsgOther}},
		{"4,1234,5678,-;net_ratelimit: 9 callbacks suppressed\n", kmsgLine{}},
		{"4,1234,5678,-;kauditd_printk_skb: -5 callbacks suppressed\n", kmsgLine{}},
		{"4,1234,5678,-;kauditd_printk_skb: many callbacks suppressed\n", kmsgLine{}},
		{"12,1234,5678,-;audit: audit_lost=99 audit_rate_limit=0 audit_backlog_limit=64\n", kmsgLine{}}, // a process wrote it
		{"12,1234,5678,-;kauditd_printk_skb: 5122 callbacks suppressed\n", kmsgLine{}},
		{"5,1234,5678,-;audit: type=1420 audit(1.0)\n", kmsgLine{}},
		{"5,1234,5678,-;audit: type=70000 audit(1.0:1): \n", kmsgLine{}},
		{"4,1234,5678,-;audit: audit_lost=many\n", kmsgLine{}},
		{"4,1234,5678,-;audit: audit_lost=4294967296 \n", kmsgLine{}},
		{"4,1234;audit: audit_lost=1 \n", kmsgLine{}},
		{"audit: audit_lost=1 ", kmsgLine{}},
		{"", kmsgLine{}},
	}
	for _, tt := range tests {
		if tt.want.finding != kmsgNothing {
			tt.want.seq, tt.want.at = 1234, 5678*time.Microsecond
		}
		if diff := cmp.Diff(tt.want, parseKmsg([]byte(tt.record)), cmp.AllowUnexported(kmsgLine{})); diff != "" {
			t.Errorf("parseKmsg(%q) (-want +got):\n%s", tt.record, diff)
		}
	}
}

func FuzzParseKmsg(f *testing.F) {
	f.Add([]byte("4,1234,5678,-;audit: audit_lost=17 audit_rate_limit=0 audit_backlog_limit=64\n"))
	f.Add([]byte("3,1,2,-;audit: kauditd hold queue overflow\n"))
	f.Add([]byte("4,1,2,-;kauditd_printk_skb: 5122 callbacks suppressed\n"))
	f.Add([]byte("5,1,2,-;audit: type=1420 audit(1795440701.244:47): x\n"))
	f.Fuzz(func(t *testing.T, record []byte) {
		l := parseKmsg(record)
		if l.finding != kmsgLost && l.finding != kmsgSuppressed && l.number != 0 || l.finding == kmsgNothing && l != (kmsgLine{}) {
			t.Errorf("a number without a line that gives one: %+v", l)
		}
	})
}

// pipe returns a non-blocking packet pipe: like /dev/kmsg, one read returns
// one record.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "kmsg"), os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestFollowKmsgTellsOldFromNewRecords(t *testing.T) {
	t.Parallel()
	if !isFirst([]byte("5,0,0,-;Linux version\n")) || isFirst([]byte("5,10,0,-;x\n")) || isFirst(nil) {
		t.Error("the first record of a boot has the number 0")
	}
	r, w := pipe(t)
	write := func(s string) {
		if _, err := w.WriteString(s); err != nil {
			t.Error(err)
		}
	}
	write(logLine(1))
	heard := make(chan string, 8)
	done := make(chan error, 1)
	go func() {
		done <- followKmsg(r,
			func(l kmsgLine) {
				if l.finding == kmsgOldest {
					heard <- "0 before"
				} else {
					heard <- fmt.Sprint(l.number)
				}
			},
			func() { heard <- "caught up" })
	}()
	for _, want := range []string{"0 before", "1", "caught up"} {
		if got := <-heard; got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	write("6,1,2,-;something else\n")
	write(logLine(2))
	if got := <-heard; got != "2" {
		t.Fatalf("heard %q, want 2", got)
	}
	r.Close()
	if err := <-done; err == nil {
		t.Error("no error after Close")
	}
}
