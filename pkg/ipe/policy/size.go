package policy

import (
	"fmt"
	"syscall"
)

const (
	// MaxSigned is how many bytes a signed policy may have. The kernel refuses
	// more with EMSGSIZE (asn1_ber_decoder in lib/asn1_decoder.c, 6.12 to 7.3).
	MaxSigned = 65535

	// SignatureAllowance is how many bytes a usual signature adds to the text:
	// RSA-2048 with the signer's certificate and no attributes
	// (openssl smime -sign -noattr -nodetach). Without the certificate it is some
	// 400 bytes, with attributes some 1,450, and a longer key or a chain of
	// certificates needs more than that.
	SignatureAllowance = 1233
)

// CheckSize reports whether a text of n bytes can be loaded once it has a usual
// signature. The error is an *Error with EMSGSIZE and without a position.
func CheckSize(n int) error {
	if n <= MaxSigned-SignatureAllowance {
		return nil
	}
	return &Error{Errno: syscall.EMSGSIZE, Reason: fmt.Sprintf(
		"the text has %d bytes, and the kernel takes at most %d of a signed policy: %d with a signature of %d (RSA-2048)",
		n, MaxSigned, MaxSigned-SignatureAllowance, SignatureAllowance)}
}
