package engines

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startServer starts a server with JetStream in this process.
func startServer(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	check(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	return s
}

// streams connects to a server, for what a test wants to know.
func streams(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	c, err := natsgo.Connect(url, natsgo.MaxReconnects(-1), natsgo.ReconnectWait(20*time.Millisecond))
	check(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c)
	check(t, err)
	return js
}

// makeStream makes the stream IPE.
func makeStream(t testing.TB, js jetstream.JetStream, change func(*jetstream.StreamConfig)) {
	t.Helper()
	c := jetstream.StreamConfig{Name: "IPE", Subjects: []string{"ipe.>"}, Duplicates: 24 * time.Hour}
	if change != nil {
		change(&c)
	}
	_, err := js.CreateStream(limited(t), c)
	check(t, err)
}

// stored returns the messages of the stream, in their order.
func stored(ctx context.Context, js jetstream.JetStream) (list []jetstream.Msg, err error) {
	s, err := js.Stream(ctx, "IPE")
	if err != nil {
		return nil, err
	}
	n := s.CachedInfo().State.Msgs
	if n == 0 {
		return nil, nil
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	it, err := c.Messages()
	if err != nil {
		return nil, err
	}
	defer it.Stop()
	for range n {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// network is what lies between the sink and a server: it can break, and hang.
type network struct {
	t        testing.TB
	listener net.Listener
	to       string

	mu     sync.Mutex
	broken bool
	conns  map[net.Conn]bool
	gate   sync.RWMutex // locked while it hangs
	wg     sync.WaitGroup
}

func newNetwork(t testing.TB, to string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	n := &network{t: t, listener: l, to: to, conns: make(map[net.Conn]bool)}
	n.wg.Go(n.accept)
	t.Cleanup(func() { l.Close(); n.cut(); n.wg.Wait() })
	return n
}

func (n *network) url() string { return "nats://" + n.listener.Addr().String() }

func (n *network) accept() {
	for {
		in, err := n.listener.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		broken := n.broken
		n.mu.Unlock()
		out, err := net.Dial("tcp", n.to)
		if broken || err != nil {
			in.Close()
			if err == nil {
				out.Close()
			}
			continue
		}
		n.mu.Lock()
		n.conns[in], n.conns[out] = true, true
		n.mu.Unlock()
		n.wg.Go(func() { n.copy(out, in) })
		n.wg.Go(func() { n.copy(in, out) })
	}
}

func (n *network) copy(to, from net.Conn) {
	defer func() {
		to.Close()
		from.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, to)
		delete(n.conns, from)
	}()
	b := make([]byte, 32<<10)
	for {
		k, err := from.Read(b)
		if err != nil && err != io.EOF || k == 0 {
			return
		}
		n.gate.RLock()
		_, err = to.Write(b[:k])
		n.gate.RUnlock()
		if err != nil {
			return
		}
	}
}

// cut ends every connection.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Close()
	}
}

func (n *network) fail() {
	n.mu.Lock()
	n.broken = true
	n.mu.Unlock()
	n.cut()
}

func (n *network) repair() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = false
}

func address(s *server.Server) string { return s.Addr().String() }

func url(s *server.Server) string { return fmt.Sprintf("nats://%s", address(s)) }

// ports counts the ports that tests have asked for.
var ports atomic.Int32
