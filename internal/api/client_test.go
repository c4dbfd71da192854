package api

import (
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Somebody who makes connections in a loop keeps the queue of the socket full. A
// client gets through as soon as there is room for a moment.
func TestClientWaitsForRoomInTheQueue(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for {
		c, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	asked := make(chan error, 1)
	go func() {
		_, _, err := NewClient(path).Status(t.Context())
		asked <- err
	}()
	select {
	case err := <-asked:
		t.Fatalf("the client did not wait: %v", err)
	default:
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	}()
	if err := <-asked; err != nil {
		t.Errorf("the client got %v", err)
	}
}
