//go:build linux && amd64

package main

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// verity PATH [signed] makes the file immutable by fs-verity and tells its
// digest. When signed, standard input is the signature.
func enableVerity(args []string, r *wire.Result) error {
	signature, err := signatureOf(args[1:])
	if err != nil {
		return before("read", err)
	}
	r.Digest, err = fsverity(args[0], signature)
	return err
}

// signatureOf returns standard input if the arguments ask for a signature.
func signatureOf(args []string) ([]byte, error) {
	if len(args) == 0 {
		return nil, nil
	}
	return io.ReadAll(os.Stdin)
}

// trust KEYRING adds the certificate on standard input to a keyring of the
// kernel, such as .fs-verity.
func trustKey(args []string, _ *wire.Result) error {
	certificate, err := io.ReadAll(os.Stdin)
	if err != nil {
		return before("read", err)
	}
	text, err := os.ReadFile("/proc/keys")
	if err != nil {
		return before("read /proc/keys", err)
	}
	for line := range strings.Lines(string(text)) {
		// 2f1a3c4d I------     1 perm 1f0f0000     0     0 keyring   .fs-verity: empty (proc_keys(5))
		words := strings.Fields(line)
		if len(words) < 9 || words[7] != "keyring" || words[8] != args[0]+":" {
			continue
		}
		id, err := strconv.ParseUint(words[0], 16, 32)
		if err != nil {
			return err
		}
		_, err = unix.AddKey("asymmetric", "", certificate, int(id))
		return err
	}
	return before("keyring "+args[0], unix.ENOKEY)
}

// From include/uapi/linux/fsverity.h.
const (
	fsIocEnableVerity  = 0x40806685 // FS_IOC_ENABLE_VERITY
	fsIocMeasureVerity = 0xc0046686 // FS_IOC_MEASURE_VERITY
	fsVerityHashSHA256 = 1          // FS_VERITY_HASH_ALG_SHA256
)

// fsverity enables fs-verity on the file, with a signature if there is one, and
// returns its digest.
func fsverity(path string, signature []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, before("open", err)
	}
	defer unix.Close(fd)
	enable := struct {
		version, hash, blockSize, saltSize uint32
		salt                               uint64
		signatureSize, reserved            uint32
		signature                          uint64
		reserved2                          [11]uint64
	}{version: 1, hash: fsVerityHashSHA256, blockSize: 4096}
	if len(signature) > 0 {
		var pinner runtime.Pinner
		pinner.Pin(&signature[0])
		defer pinner.Unpin()
		enable.signatureSize, enable.signature = uint32(len(signature)), uint64(ptr(signature))
	}
	if err := ioctl(fd, fsIocEnableVerity, unsafe.Pointer(&enable)); err != nil {
		return nil, err
	}
	measure := struct {
		algorithm, size uint16
		digest          [32]byte
	}{size: 32}
	if err := ioctl(fd, fsIocMeasureVerity, unsafe.Pointer(&measure)); err != nil {
		return nil, err
	}
	return measure.digest[:measure.size], nil
}
