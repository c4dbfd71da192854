package input

import "bufio"

// refused are the forms that are known and not read: archives of many files, and
// files that hold records in a form that other programs make text of.
var refused = [...]struct {
	magic, form, remedy string
	weak                bool // so short that a capture may begin with it
}{
	{magic: "PK\x03\x04", form: "a zip archive", remedy: "unpack it first, as with unzip -p FILE"},
	{magic: "PK\x05\x06", form: "an empty zip archive", remedy: "unpack it first, as with unzip -p FILE"},
	{magic: "PK\x07\x08", form: "a zip archive in several parts", remedy: "unpack it first, as with 7z x -so FILE"},
	{magic: "7z\xbc\xaf\x27\x1c", form: "a 7z archive", remedy: "unpack it first, as with 7z x -so FILE"},
	{magic: "Rar!\x1a\x07", form: "a rar archive", remedy: "unpack it first, as with unrar p -inul FILE"},
	{magic: "070701", form: "a cpio archive", remedy: "unpack it first, as with cpio -i --to-stdout <FILE"},
	{magic: "070702", form: "a cpio archive", remedy: "unpack it first, as with cpio -i --to-stdout <FILE"},
	{magic: "070707", form: "a cpio archive", remedy: "unpack it first, as with cpio -i --to-stdout <FILE"},
	{magic: "\xc7\x71", form: "a cpio archive", remedy: "unpack it first, as with cpio -i --to-stdout <FILE", weak: true},
	{magic: "\x71\xc7", form: "a cpio archive", remedy: "unpack it first, as with cpio -i --to-stdout <FILE", weak: true},
	{magic: "!<arch>\n", form: "an ar archive", remedy: "unpack it first, as with ar p FILE"},
	{magic: "MSCF", form: "a cab archive", remedy: "unpack it first, as with cabextract -p FILE"},
	{magic: "\x04\x22\x4d\x18", form: "data compressed by lz4", remedy: "decompress it first, as with lz4 -dc FILE"},
	{magic: "\x02\x21\x4c\x18", form: "data compressed by lz4", remedy: "decompress it first, as with lz4 -dc FILE"},
	{magic: "LZIP", form: "data compressed by lzip", remedy: "decompress it first, as with lzip -dc FILE"},
	{magic: "LRZI", form: "data compressed by lrzip", remedy: "decompress it first, as with lrzip -d -o - FILE"},
	{magic: "\x89LZO\x00\r\n\x1a\n", form: "data compressed by lzop", remedy: "decompress it first, as with lzop -dc FILE"},
	{magic: "\xff\x06\x00\x00sNaPpY", form: "data compressed by snappy", remedy: "decompress it first, as with snzip -dc FILE"},
	{magic: "\x5d\x00\x00", form: "data compressed by lzma", remedy: "decompress it first, as with xz -dc --format=lzma FILE", weak: true},
	{magic: "\x1f\x9d", form: "data compressed by compress (.Z)", remedy: "decompress it first, as with gzip -dc FILE", weak: true},
	{magic: "\x1f\xa0", form: "data compressed by compress (.Z)", remedy: "decompress it first, as with gzip -dc FILE", weak: true},
	{magic: "\x1f\x1e", form: "data compressed by pack (.z)", remedy: "decompress it first, as with gzip -dc FILE", weak: true},
	{magic: "\x78\x01", form: "a zlib stream", remedy: "decompress it first, as with pigz -dc FILE", weak: true},
	{magic: "\x78\x9c", form: "a zlib stream", remedy: "decompress it first, as with pigz -dc FILE", weak: true},
	{magic: "\x78\xda", form: "a zlib stream", remedy: "decompress it first, as with pigz -dc FILE", weak: true},

	{magic: "LPKSHHRH", form: "a journal file", remedy: "print it first, with journalctl --file FILE --all -o json"},
	{magic: "\xd4\xc3\xb2\xa1", form: "a packet capture (pcap)", remedy: "print the messages first, as with tshark -r FILE -Y syslog -T fields -e syslog.msg"},
	{magic: "\xa1\xb2\xc3\xd4", form: "a packet capture (pcap)", remedy: "print the messages first, as with tshark -r FILE -Y syslog -T fields -e syslog.msg"},
	{magic: "\x4d\x3c\xb2\xa1", form: "a packet capture (pcap)", remedy: "print the messages first, as with tshark -r FILE -Y syslog -T fields -e syslog.msg"},
	{magic: "\xa1\xb2\x3c\x4d", form: "a packet capture (pcap)", remedy: "print the messages first, as with tshark -r FILE -Y syslog -T fields -e syslog.msg"},
	{magic: "\x0a\x0d\x0d\x0a", form: "a packet capture (pcapng)", remedy: "print the messages first, as with tshark -r FILE -Y syslog -T fields -e syslog.msg"},
	{magic: "ElfFile\x00", form: "a Windows event log (evtx)", remedy: "print it first, as with evtx_dump FILE"},
	{magic: "SQLite format 3\x00", form: "an SQLite database", remedy: "print the table with the records first, as with sqlite3 FILE 'SELECT message FROM logs'"},
	{magic: "PAR1", form: "a Parquet file", remedy: "print it as JSON lines first, as with parquet cat --json FILE"},
	{magic: "Obj\x01", form: "an Avro file", remedy: "print it as JSON lines first, as with avro-tools tojson FILE"},
	{magic: "\x7fELF", form: "a program or core dump (ELF)", remedy: "give a capture or a log"},
	{magic: "%PDF-", form: "a PDF document", remedy: "print its text first, as with pdftotext FILE -"},
	{magic: "\xff\xfe\x00\x00", form: "text in UTF-32", remedy: "convert it first, as with iconv -f UTF-32 -t UTF-8 FILE"},
	{magic: "\x00\x00\xfe\xff", form: "text in UTF-32", remedy: "convert it first, as with iconv -f UTF-32 -t UTF-8 FILE"},
}

// refusal returns why what is read next is not read, or nil. It asks for weak
// signs only, or for the others only.
func refusal(br *bufio.Reader, weak bool) error {
	for i := range refused {
		if f := &refused[i]; f.weak == weak && startsWith(br, f.magic) {
			return &FormatError{f.form, f.remedy}
		}
	}
	if weak && isTar(br) {
		return &FormatError{"a tar archive", "unpack it first, as with tar -xOf FILE"}
	}
	return nil
}

// isTar reports whether a tar archive is read next: a name padded with NULs, and
// "ustar" at 257. It reads no further than to the end of a line.
func isTar(br *bufio.Reader) bool {
	const at = 257
	for n := range at {
		switch p, _ := br.Peek(n + 1); {
		case len(p) <= n, p[n] == '\n', n == 0 && p[0] == 0:
			return false
		case p[n] == 0: // the name ends, or the mode behind it
			p, _ = br.Peek(at + 5)
			return len(p) == at+5 && string(p[at:]) == "ustar"
		}
	}
	return false
}
