package fileprops

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// From include/uapi/linux/fsverity.h.
const (
	fsIocMeasureVerity            = 0xc0046686 // FS_IOC_MEASURE_VERITY, _IOWR('f', 134, 4 bytes)
	fsIocReadVerityMetadata       = 0xc0286687 // FS_IOC_READ_VERITY_METADATA, _IOWR('f', 135, 40 bytes), Linux 5.12
	fsVerityMetadataTypeSignature = 3          // FS_VERITY_METADATA_TYPE_SIGNATURE
)

// verityAlgorithms are the names that IPE compares with (hash_algo_name in
// crypto/hash_info.c), by FS_VERITY_HASH_ALG_*.
var verityAlgorithms = [...]string{1: "sha256", 2: "sha512"}

// fileDigest returns the fs-verity digest of an open file.
func fileDigest(fd int) (policy.Digest, error) {
	var buf [4 + 64]byte // struct fsverity_digest: algorithm, size, digest
	binary.NativeEndian.PutUint16(buf[2:], uint16(len(buf)-4))
	if _, err := ioctl(fd, fsIocMeasureVerity, buf[:]); err != nil {
		return policy.Digest{}, err
	}
	algorithm, size := int(binary.NativeEndian.Uint16(buf[0:])), int(binary.NativeEndian.Uint16(buf[2:]))
	if algorithm == 0 || algorithm >= len(verityAlgorithms) || size > len(buf)-4 {
		return policy.Digest{}, fmt.Errorf("unknown algorithm %d with %d bytes", algorithm, size)
	}
	return policy.Digest{Algorithm: verityAlgorithms[algorithm], Sum: bytes.Clone(buf[4 : 4+size])}, nil
}

// hasSignature reports whether the file has a built-in signature.
func hasSignature(fd int) (bool, error) {
	first := new(byte)
	var pinner runtime.Pinner
	pinner.Pin(first)
	defer pinner.Unpin()
	arg := struct{ kind, offset, length, buffer, reserved uint64 }{
		kind: fsVerityMetadataTypeSignature, length: 1, buffer: uint64(uintptr(unsafe.Pointer(first))),
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocReadVerityMetadata, uintptr(unsafe.Pointer(&arg)))
	switch {
	case errno == unix.ENODATA:
		return false, nil
	case errno != 0:
		return false, errno
	}
	return n > 0, nil
}

// From include/uapi/linux/dm-ioctl.h.
const (
	dmTableStatus     = 0xc138fd0c // DM_TABLE_STATUS
	dmStatusTableFlag = 1 << 4     // DM_STATUS_TABLE_FLAG: the table, not the state
	dmBufferFullFlag  = 1 << 8     // DM_BUFFER_FULL_FLAG

	dmHeader     = 312 // sizeof(struct dm_ioctl), with its padding
	dmTargetSpec = 40  // sizeof(struct dm_target_spec)
)

// deviceTable asks the device mapper for the table of a device: the type of its
// target and that target's parameters. It needs CAP_SYS_ADMIN. A table of
// several targets has no type.
func deviceTable(device uint64) (target, parameters string, err error) {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return "", "", err
	}
	defer control.Close()
	for size := 16 << 10; ; size *= 4 {
		buf := make([]byte, size)
		le := binary.NativeEndian
		le.PutUint32(buf[0:], 4) // version 4.0.0
		le.PutUint32(buf[12:], uint32(size))
		le.PutUint32(buf[16:], dmHeader)
		le.PutUint32(buf[28:], dmStatusTableFlag)
		le.PutUint64(buf[40:], device)
		if _, err := ioctl(int(control.Fd()), dmTableStatus, buf); err != nil {
			return "", "", os.NewSyscallError("DM_TABLE_STATUS", err)
		}
		if le.Uint32(buf[28:])&dmBufferFullFlag != 0 {
			if size >= 1<<20 {
				return "", "", errors.New("it is longer than 1 MiB")
			}
			continue
		}
		if le.Uint32(buf[20:]) != 1 {
			return "", "", nil
		}
		start := le.Uint32(buf[16:])
		if int64(start)+dmTargetSpec > int64(len(buf)) {
			return "", "", errors.New("it has no targets")
		}
		spec := buf[start:]
		return unix.ByteSliceToString(spec[24:dmTargetSpec]), unix.ByteSliceToString(spec[dmTargetSpec:]), nil
	}
}

// parseVerity reads the table of a verity target (verity_status in
// drivers/md/dm-verity-target.c; Documentation/admin-guide/device-mapper/verity.rst):
//
//	version data_dev hash_dev data_block_size hash_block_size blocks hash_start algorithm digest salt [count options...]
//
// The kernel sets up a device with a signature only after it has verified it.
func parseVerity(parameters string) (root policy.Digest, signed bool, err error) {
	words := strings.Fields(parameters)
	if len(words) < 10 {
		return root, false, errors.New("a verity target of too few words")
	}
	sum, err := hex.DecodeString(words[8])
	if err != nil {
		return root, false, errors.New("the root hash is no hex")
	}
	for _, option := range words[10:] {
		signed = signed || option == "root_hash_sig_key_desc"
	}
	return policy.Digest{Algorithm: words[7], Sum: sum}, signed, nil
}

func ioctl(fd int, request uintptr, arg []byte) (uintptr, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&arg[0])))
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}
