package entry

import "encoding/binary"

// The types of entries that are no records of the kernel as they came from it. The
// kernel numbers its own from 1000 on, and has given out less than 3000
// (include/uapi/linux/audit.h).
const (
	TypeInternal = 0      // an event that the daemon itself tells, in JSON
	TypeProcess  = 1      // an attachment: what /proc said of the process, see package procinfo
	TypeImported = 0xffff // what an input had: see Imported
	TypeBackfill = 0xfffe // a record of this boot that a log had: an Imported without Host and BootID
)

// ContextOff is set in the context of an access that was received while companions
// were shut out. The rest of a context is the number of a policy.
const ContextOff uint16 = 1 << 15

// Imported is a record or an event that an input had.
type Imported struct {
	Type         uint16 // of the record; TypeInternal: Data is an event in JSON
	Cut          bool   // the end of the record is missing
	Host, BootID []byte // as the input names them; empty if it does not
	Data         []byte
}

// AppendImported appends im as the data of an entry of TypeImported:
//
//	0  2  type, little endian
//	2  1  1 if the end is missing, else 0
//	3     length of the host's name as a varint, and the name
//	      length of the boot id as a varint, and the id
//	      the record, or the line
func AppendImported(dst []byte, im *Imported) []byte {
	cut := byte(0)
	if im.Cut {
		cut = 1
	}
	dst = append(binary.LittleEndian.AppendUint16(dst, im.Type), cut)
	for _, name := range [...][]byte{im.Host, im.BootID} {
		dst = append(binary.AppendUvarint(dst, uint64(len(name))), name...)
	}
	return append(dst, im.Data...)
}

// ParseImported reads what AppendImported wrote. The slices view data.
func ParseImported(data []byte) (im Imported, ok bool) {
	if len(data) < 3 || data[2] > 1 {
		return im, false
	}
	im.Type, im.Cut = binary.LittleEndian.Uint16(data), data[2] == 1
	data = data[3:]
	for _, name := range [...]*[]byte{&im.Host, &im.BootID} {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)-size) {
			return im, false
		}
		end := size + int(n)
		*name, data = data[size:end:end], data[end:]
	}
	im.Data = data
	return im, true
}
