package syslog_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
)

func Example() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log") // in the place of /dev/log
	receiver, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()

	s, err := syslog.New(&syslog.Config{Network: syslog.Unix, Target: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Write(ctx, &sink.Entry{Bytes: []byte("<83>Nov 23 13:35:38 ipe-auditd: DENIED EXECUTE /tmp/x")}); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Flush(ctx); err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, 1024)
	n, err := receiver.Read(b)
	fmt.Println(string(b[:n]), err)
	// Output: <83>Nov 23 13:35:38 ipe-auditd: DENIED EXECUTE /tmp/x <nil>
}
