package netlinkaudit

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"golang.org/x/sys/unix"
)

// What it costs to take a message out of the queue of the socket: Receive, the
// least that is possible (recvmmsg into the same buffers, nothing looked at),
// and go-libaudit. The records are relayed by the kernel; sending them is not
// counted. Compare ns/msg: an iteration is a backlog of many messages.
func BenchmarkReceive(b *testing.B) {
	b.Run("Receive", func(b *testing.B) {
		probe, c := listen(b, benchConfig), listen(b, benchConfig)
		drain(b, probe, func() (int, error) {
			msgs, err := c.Receive()
			return len(msgs), err
		})
	})
	b.Run("bare-recvmmsg", func(b *testing.B) {
		probe, c := listen(b, benchConfig), listen(b, benchConfig)
		drain(b, probe, func() (int, error) {
			c.batch.n, c.batch.err = 0, nil
			err := c.poller.raw.Read(c.batch.fill)
			return c.batch.n, err
		})
	})
	b.Run("go-libaudit", func(b *testing.B) {
		probe := listen(b, benchConfig)
		client, err := libaudit.NewMulticastAuditClient(io.Discard)
		must(b, err)
		defer client.Close()
		drain(b, probe, func() (int, error) {
			_, err := client.Receive(false)
			return 1, err
		})
	})
}

var benchConfig = &Config{Types: []uint16{audittest.TypeUserAVC}, Coalesce: coalesce}

// drain measures receive, which returns how many messages it has received,
// while a backlog is worked off.
//
// The probe must be older than the receiver.
func drain(b *testing.B, probe *Conn, receive func() (int, error)) {
	const backlog = 200 // what the smallest usual buffer holds
	r, token := relay(b)
	text := token + `ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=0 pid=456 comm="labtool" path="/tmp/true"`
	b.ReportAllocs()
	total := 0
	for b.Loop() {
		b.StopTimer()
		for range backlog {
			must(b, r.Send(text))
		}
		awaitRelayed(b, probe, token, backlog)
		b.StartTimer()
		for got := 0; got < backlog; {
			n, err := receive()
			if err != nil {
				b.Fatal(err)
			}
			got += n
			total += n
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/msg")
}

// The same on the stand-in, where nobody else sends: Receive with a batch of
// one, and of many.
func BenchmarkReceiveStandIn(b *testing.B) {
	for _, bm := range []struct {
		name string
		cfg  Config
	}{{"batch=1", Config{Batch: 1, Coalesce: coalesce}}, {"batch=64", Config{Coalesce: coalesce}}} {
		b.Run(bm.name, func(b *testing.B) {
			group := audittest.StandIn(b)
			c := listen(b, on(group, bm.cfg))
			const backlog = 200
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for range backlog {
					must(b, group.Multicast(1420, "audit(1795440105.125:24): ipe_op=EXECUTE"))
				}
				b.StartTimer()
				for got := 0; got < backlog; {
					msgs, err := c.Receive()
					must(b, err)
					got += len(msgs)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/backlog, "ns/msg")
		})
	}
}

// What Receive adds to recvmmsg.
func BenchmarkSift(b *testing.B) {
	c := &Conn{}
	c.types.Store(&[]uint16{1404, 1420, 1421, 1422, 1423})
	c.batch.init(defaultBatch)
	c.batch.n = defaultBatch
	for i := range c.batch.n {
		c.batch.addrs[i].Family = unix.AF_NETLINK
		c.batch.hdrs[i].len = headerLen + 174
		binary.NativeEndian.PutUint16(c.batch.bufs[i*slotSize+4:], 1420)
	}
	b.ReportAllocs()
	for b.Loop() {
		if msgs, _ := c.validate(); len(msgs) != defaultBatch {
			b.Fatal(len(msgs))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/defaultBatch, "ns/msg")
}
