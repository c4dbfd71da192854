package format

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// messageIDs is MESSAGE_ID of each kind of event: 128 random bits that never
// change, since the catalog and people's filters name them.
var messageIDs = [...]string{
	ipe.KindUnparsed:       "61e088cf65a3eaa0b7765ce6fe28bb05",
	ipe.KindAccess:         "19fc762b0ed393ce9525d0d3b41be070",
	ipe.KindPolicyLoad:     "87bd057bd075e8bea38ca0bf686eb0f9",
	ipe.KindPolicyActivate: "4a5fd23efa07bbd3b1970e6c2ac42064",
	ipe.KindEnforcement:    "9aaff9a2227acf47c6b7030f210b65b6",
	ipe.KindStarted:        "09dd5501f771e9999e5db26bf4042587",
	ipe.KindStopped:        "8ab957d7283f2aba3f58a53cf1daa00c",
	ipe.KindLost:           "9bc68e17d575392090f1537c16e55cf9",
	ipe.KindForged:         "97a6d8ae4ef0a848c933b238adb8f4e6",
	ipe.KindRepeated:       "24c5c09f2ab01ec64c39292a7652ebd6",
	ipe.KindAuditConfig:    "c1f6ea54c1d34d0b9d2a5b1c37e0f86a",
	ipe.KindHeartbeat:      "7fe466288e654fcd8dcc64eba5ae7c28",
	ipe.KindCheckpoint:     "4e8b6d3ff7aa4c0b93a51ed0629c7b14",
}

// MessageID returns the MESSAGE_ID of the journal entries of a kind, 32 hex
// digits, or the empty string for a kind that nobody defined.
func MessageID(k ipe.Kind) string {
	if int(k) < len(messageIDs) {
		return messageIDs[k]
	}
	return ""
}

// AppendJournal appends ev as one datagram of the journal's native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). It is a [Func], but not a line
// format.
//
// MESSAGE is the text form without time, PRIORITY is [Severity], MESSAGE_ID is
// [MessageID]. Every key of the event is a field: its name in upper case with
// IPE_ before it (ipe_op is IPE_OP, path IPE_PATH, pid IPE_PID). Only errno is
// ERRNO, a field that the journal knows, and positive there. OBJECT_PID is not
// used: journald would look at the process that has that number by now. What it
// would find there is given instead, as far as it is known of an access: OBJECT_UID,
// OBJECT_EXE, OBJECT_SYSTEMD_UNIT and their like (systemd.journal-fields(7)), but
// not for the control group of the parent.
//
// Values are the bytes of the kernel, so there is no KEY_hex; what holds a
// newline is sent with its length before it. A list is joined by blanks, and so
// are extra keys, as key=value.
func AppendJournal(dst []byte, ev *ipe.Event, c *Context) []byte {
	dst = append(dst, "MESSAGE="...)
	dst = appendMessage(dst, ev, c, unguarded)
	dst = append(dst, "\nPRIORITY="...)
	dst = strconv.AppendInt(dst, int64(Severity(ev)), 10)
	dst = append(dst, "\nSYSLOG_IDENTIFIER=ipe-auditd\nMESSAGE_ID="...)
	dst = append(dst, MessageID(ev.Kind)...)
	dst = append(dst, '\n')
	dst = appendJournalKeys(dst, ev, c)
	if ev.Kind == ipe.KindAccess && ev.Context != 0 {
		dst = appendJournalObject(dst, ev)
	}
	return dst
}

// appendJournalObject appends the journal's own fields for the process that a
// message is about.
func appendJournalObject(dst []byte, ev *ipe.Event) []byte {
	for _, f := range [...]struct {
		name string
		n    uint32
		has  ipe.Has
	}{
		{"OBJECT_UID=", ev.UID, ipe.HasUID},
		{"OBJECT_AUDIT_LOGINUID=", ev.AUID, ipe.HasAUID},
		{"OBJECT_AUDIT_SESSION=", ev.SES, ipe.HasSES},
	} {
		if ev.Has&f.has != 0 {
			dst = append(strconv.AppendUint(append(dst, f.name...), uint64(f.n), 10), '\n')
		}
	}
	dst = journalObject(dst, "OBJECT_EXE=", ev.Exe)
	dst = journalObject(dst, "OBJECT_CMDLINE=", ev.Proctitle)
	if ev.Context&ipe.ContextParent != 0 {
		return dst
	}
	dst = journalObject(dst, "OBJECT_SYSTEMD_CGROUP=", ev.Cgroup)
	dst = journalObject(dst, "OBJECT_SYSTEMD_UNIT=", ev.Unit)
	return journalObject(dst, "OBJECT_SYSTEMD_USER_UNIT=", ev.UserUnit)
}

func journalObject(dst []byte, name string, value []byte) []byte {
	if value == nil {
		return dst
	}
	return journalText(append(dst, name...), value)
}

// journalText appends a value behind NAME=, and a newline.
func journalText(dst, b []byte) []byte { return endField(append(dst, b...), len(dst)) }

func journalList(dst []byte, list [][]byte) []byte {
	return endField(appendJoined(dst, list), len(dst))
}

func journalExtra(dst []byte, extra []ipe.KeyValue) []byte {
	return endField(appendJoinedExtra(dst, extra), len(dst))
}

// endField ends the field whose value is dst[start:]. One with a newline in it gets
// the form for any bytes: NAME, a newline, the length in 64 bits little-endian, the
// bytes, a newline.
func endField(dst []byte, start int) []byte {
	if n := len(dst) - start; bytes.IndexByte(dst[start:], '\n') >= 0 {
		dst[start-1] = '\n'
		dst = append(dst, "length.."...)
		copy(dst[start+8:], dst[start:start+n])
		binary.LittleEndian.PutUint64(dst[start:], uint64(n))
	}
	return append(dst, '\n')
}
