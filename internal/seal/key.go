package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/mod/sumdb/note"
)

// maxKey is how long the file of a key may be, in bytes.
const maxKey = 4096

// Generate makes a key pair for hosts of that name, in the form of
// golang.org/x/mod/sumdb/note, and writes the private one to a new file of mode 0600
// and the public one beside it, to FILE.pub. It returns the public one.
func Generate(file, name string) (public string, err error) {
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", err
	}
	if err := create(file, private, 0o600); err != nil {
		return "", err
	}
	return public, create(file+".pub", public, 0o644)
}

// create writes a file that is not there yet.
func create(file, text string, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// KeyError says why a private key cannot be used.
type KeyError struct{ Err error }

func (e *KeyError) Error() string { return "seal.key: " + e.Err.Error() }

func (e *KeyError) Unwrap() error { return e.Err }

// ReadSigner reads the private key of the daemon, which runs as the user uid. Nobody
// but its owner may read the file, and root or that user must own it. Its errors are
// of type *[KeyError].
func ReadSigner(file string, uid int) (note.Signer, error) {
	s, err := readSigner(file, uid)
	if err != nil {
		return nil, &KeyError{err}
	}
	return s, nil
}

func readSigner(file string, uid int) (note.Signer, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", file)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s may be read by others: chmod 0600 it", file)
	case owner != 0 && int(owner) != uid:
		return nil, fmt.Errorf("%s belongs to user %d, who could sign in our name", file, owner)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, err
	}
	s, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key: make one with ipe-auditd seal-key", file)
	}
	return s, nil
}

// ParseVerifier returns the public key that text is, or that the file of that name
// holds.
func ParseVerifier(text string) (note.Verifier, error) {
	if v, err := note.NewVerifier(text); err == nil {
		return v, nil
	}
	f, err := os.Open(text)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a public key nor a file with one: %w", text, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%s holds no public key, such as ipe-auditd seal-key writes to FILE.pub", text)
	}
	return v, nil
}
