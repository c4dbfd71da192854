package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// maxPolicy bounds the text of a policy, in bytes: as much as the kernel
// allocates at once (KMALLOC_MAX_SIZE in include/linux/slab.h).
const maxPolicy = 4 << 20

// readPolicy reads the text of a policy. A mistake in it is told with file, line,
// column and the error number that the kernel would return. Words that this
// version does not know are told on stderr: what they mean is not known.
func readPolicy(stderr io.Writer, name string) ([]byte, *policy.Policy, error) {
	text, err := readPolicyText(name, nil)
	if err != nil {
		return nil, nil, err
	}
	p, unknown, err := policy.ParseLenient(text)
	var wrong *policy.Error
	if errors.As(err, &wrong) {
		return nil, nil, fmt.Errorf("%s:%d:%d: %w", name, wrong.Line, wrong.Column, &policy.Error{Errno: wrong.Errno, Reason: wrong.Reason})
	}
	sayUnknown(stderr, name, unknown)
	return text, p, err
}

// readPolicyText reads a file, or stdin for "-" where that is not nil.
func readPolicyText(name string, stdin io.Reader) ([]byte, error) {
	r := stdin
	if name != "-" || stdin == nil {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxPolicy+1))
	if err == nil && len(text) > maxPolicy {
		err = fmt.Errorf("%s: longer than 4 MiB: the kernel takes no such policy", displayName(name))
	}
	return text, err
}

// mostUnknown is how many words that are not known are told.
const mostUnknown = 5

// sayUnknown tells each word once, where it stands first.
func sayUnknown(stderr io.Writer, name string, unknown []policy.UnknownWord) {
	said := make(map[string]bool)
	for _, u := range unknown {
		switch {
		case said[u.Word]:
		case len(said) == mostUnknown:
			fmt.Fprintf(stderr, "ipe-auditd: %s has more such words\n", name)
			return
		default:
			fmt.Fprintf(stderr, "ipe-auditd: %s:%d:%d: %v\n", name, u.Line, u.Column, u)
			said[u.Word] = true
		}
	}
}
