package host

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
)

const machineIDFile = "/etc/machine-id"

// application is the id of ipe-auditd in sd_id128_get_machine_app_specific(3): 128
// random bits that never change.
var application = [16]byte{0x5c, 0x1e, 0x90, 0x6b, 0x2f, 0x7d, 0x4a, 0x83, 0xa9, 0x34, 0xd8, 0x07, 0x61, 0xbf, 0xe2, 0x4c}

// ApplicationID returns an id of this host that belongs to ipe-auditd, as
// sd_id128_get_machine_app_specific(3) makes it of the machine id: 32 hex digits,
// or the empty string where there is no machine id. The machine id itself must not
// be shown on a network (machine-id(5)).
func ApplicationID() string {
	text, err := os.ReadFile(machineIDFile)
	if err != nil {
		return ""
	}
	return applicationID(strings.TrimSpace(string(text)), application)
}

// applicationID hashes a machine id, 32 hex digits, with that of an application.
func applicationID(machine string, application [16]byte) string {
	key, err := hex.DecodeString(machine)
	if err != nil || len(key) != len(application) {
		return ""
	}
	h := hmac.New(sha256.New, key)
	h.Write(application[:])
	id := h.Sum(nil)[:16]
	id[6] = id[6]&0x0f | 0x40 // a UUID of version 4, as random ones are (RFC 9562, section 5.4)
	id[8] = id[8]&0x3f | 0x80
	return hex.EncodeToString(id)
}
