package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
)

// guid returns a GUID as it stands in memory: the first three parts are little
// endian.
func guid(a uint32, b, c uint16, d ...byte) []byte {
	g := binary.LittleEndian.AppendUint32(nil, a)
	g = binary.LittleEndian.AppendUint16(g, b)
	g = binary.LittleEndian.AppendUint16(g, c)
	return append(g, d...)
}

const (
	// From edk2, MdeModulePkg/Include/Guid/VariableFormat.h.
	variableStart    = 0x55aa // VARIABLE_DATA
	variableAdded    = 0x3f   // VAR_ADDED
	variableHeader   = 60     // sizeof (AUTHENTICATED_VARIABLE_HEADER)
	storeHeader      = 28     // sizeof (VARIABLE_STORE_HEADER)
	variableAlign    = 4      // HEADER_ALIGNMENT
	volumeSignature  = "_FVH" // EFI_FVH_SIGNATURE, at 40 in the volume's header
	volumeLengthAt   = 48     // HeaderLength of EFI_FIRMWARE_VOLUME_HEADER
	volumeHeaderSize = 56     // as far as we read it

	// From the UEFI specification 2.10, 8.2: non-volatile, boot service and
	// run-time access, time-based authenticated.
	dbAttributes = 0x01 | 0x02 | 0x04 | 0x20
)

// VariableStore returns a copy of an empty variable store of OVMF in which the
// certificate, in DER, is the content of the variable db.
func VariableStore(empty, certificate []byte) ([]byte, error) {
	if len(empty) < volumeHeaderSize || string(empty[40:44]) != volumeSignature {
		return nil, errors.New("not a firmware volume")
	}
	start := int(binary.LittleEndian.Uint16(empty[volumeLengthAt:]))
	authenticated := guid(0xaaf32c78, 0x947b, 0x439a, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92)
	if len(empty) < start+storeHeader || !bytes.HasPrefix(empty[start:], authenticated) {
		return nil, errors.New("not a store of authenticated variables")
	}
	end := start + int(binary.LittleEndian.Uint32(empty[start+len(authenticated):]))
	at := start + storeHeader
	v := variable("db", signatureList(certificate), time.Now())
	if end > len(empty) || at+len(v) > end {
		return nil, fmt.Errorf("a variable of %d bytes does not fit into a store of %d", len(v), end-at)
	}
	if binary.LittleEndian.Uint16(empty[at:]) == variableStart {
		return nil, errors.New("the variable store is not empty")
	}
	store := bytes.Clone(empty)
	copy(store[at:], v)
	return store, nil
}

// variable returns an entry of the store in the namespace of db,
// EFI_IMAGE_SECURITY_DATABASE_GUID.
func variable(name string, data []byte, when time.Time) []byte {
	wide := utf16.Encode([]rune(name + "\x00"))
	v := make([]byte, variableHeader, variableHeader+2*len(wide)+len(data)+variableAlign)
	binary.LittleEndian.PutUint16(v[0:], variableStart)
	v[2] = variableAdded
	binary.LittleEndian.PutUint32(v[4:], dbAttributes)
	// The time stamp is an EFI_TIME (UEFI 8.3); the count before it and the
	// nanoseconds after it stay 0.
	when = when.UTC()
	binary.LittleEndian.PutUint16(v[16:], uint16(when.Year()))
	v[18], v[19] = byte(when.Month()), byte(when.Day())
	v[20], v[21], v[22] = byte(when.Hour()), byte(when.Minute()), byte(when.Second())
	binary.LittleEndian.PutUint32(v[36:], uint32(2*len(wide)))
	binary.LittleEndian.PutUint32(v[40:], uint32(len(data)))
	copy(v[44:], guid(0xd719b2cb, 0x3d3a, 0x4596, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f))
	for _, u := range wide {
		v = binary.LittleEndian.AppendUint16(v, u)
	}
	v = append(v, data...)
	for len(v)%variableAlign != 0 {
		v = append(v, 0xff)
	}
	return v
}

// signatureList returns an EFI_SIGNATURE_LIST of one X.509 certificate (UEFI
// 32.4.1).
func signatureList(certificate []byte) []byte {
	const header, owner = 28, 16
	l := guid(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72) // EFI_CERT_X509_GUID
	l = binary.LittleEndian.AppendUint32(l, uint32(header+owner+len(certificate)))
	l = binary.LittleEndian.AppendUint32(l, 0) // SignatureHeaderSize
	l = binary.LittleEndian.AppendUint32(l, uint32(owner+len(certificate)))
	l = append(l, make([]byte, owner)...) // SignatureOwner: nobody
	return append(l, certificate...)
}
