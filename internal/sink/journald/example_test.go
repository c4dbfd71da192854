package journald_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
)

func Example() {
	dir, err := os.MkdirTemp("", "journald")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket") // a journald of our own
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		panic(err)
	}
	defer l.Close()

	s := journald.New(path)
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		panic(err)
	}
	defer s.Close()
	if err := s.Write(ctx, &sink.Entry{Bytes: []byte("MESSAGE=DENIED EXECUTE /tmp/x\nPRIORITY=3\n")}); err != nil {
		panic(err)
	}

	buf := make([]byte, 4096)
	n, err := l.Read(buf)
	if err != nil {
		panic(err)
	}
	fmt.Print(string(buf[:n]))
	// Output:
	// MESSAGE=DENIED EXECUTE /tmp/x
	// PRIORITY=3
}
