package auditstate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds an answer, in bytes. A real one has some 400.
const maxAnswer = 64 << 10

// maxTimeout is the most that Ask waits.
const maxTimeout = 15 * time.Second

// ErrVersion says that the helper is of another version than this program.
var ErrVersion = errors.New("the answer is of another version")

// ErrUntrusted says that the socket belongs to a stranger.
var ErrUntrusted = errors.New("the socket is neither root's nor this user's")

// Ask returns the answer of the helper whose socket is at path. It returns when ctx
// ends, and after 15 seconds at the latest. A helper that is not installed is
// fs.ErrNotExist; one that the kernel refuses to answer is an error with its words.
func Ask(ctx context.Context, path string) (State, error) {
	st, err := ask(ctx, path)
	if err != nil {
		return State{}, fmt.Errorf("ask for the audit state at %s: %w", path, err)
	}
	return st, nil
}

func ask(ctx context.Context, path string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return State{}, plainError(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a closed one needs no end
	defer stop()
	if err := trusted(conn.(*net.UnixConn), os.Geteuid()); err != nil {
		return State{}, err
	}
	text, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	if err != nil {
		return State{}, plainError(err)
	}
	return parse(text)
}

// plainError leaves out the addresses, which Ask names.
func plainError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// trusted looks at who listens (SO_PEERCRED): it must be the service manager,
// which is root, or ourselves.
func trusted(conn *net.UnixConn, us int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, os.NewSyscallError("getsockopt", peerErr)); err != nil {
		return err
	}
	return trusts(int(peer.Uid), us)
}

// trusts returns why a user is not believed.
func trusts(uid, us int) error {
	if uid != 0 && uid != us {
		return fmt.Errorf("%w, but of user %d", ErrUntrusted, uid)
	}
	return nil
}

// parse reads an answer.
func parse(text []byte) (State, error) {
	if len(text) == 0 {
		return State{}, errors.New("no answer: the helper does not run, or ended")
	}
	line, rest, found := bytes.Cut(text, []byte("\n"))
	if !found || len(rest) > 0 {
		return State{}, errors.New("the answer is not one line")
	}
	var st State
	var of struct{ Version int }
	if err := json.Unmarshal(line, &of); err != nil {
		return State{}, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if of.Version != Version {
		return State{}, fmt.Errorf("%w: %d, and not %d", ErrVersion, of.Version, Version)
	}
	if err := json.Unmarshal(line, &st); err != nil {
		return State{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	switch {
	case st.Status == nil && st.Error == "":
		return State{}, errors.New("the answer has no status")
	case st.Status == nil:
		return State{}, fmt.Errorf("the kernel refuses it: %q", st.Error)
	}
	return st, nil
}
