// Package fileprops finds out what the object of a record is now: which of the
// properties that a policy can ask for it has, which it lacks, and which cannot
// be known, with the reason.
//
// A record names a file by path, super block and inode. The path is looked at
// from here, and where another file is found, from the root directory of the
// process that the record names, if it still runs. What is found counts only if
// super block and inode are those of the record, and if the file was neither
// made nor written after it. Then its fs-verity digest is asked for
// (FS_IOC_MEASURE_VERITY), its built-in signature, and, for a file system on a
// dm-verity device, the device's root hash (DM_TABLE_STATUS).
//
// Much is known without the file. Anonymous memory has no property at all; a
// file system without a block device has neither dm-verity nor fs-verity; only
// the initramfs is boot_verified.
//
// It uses the caller's rights and no others. Without root the table of a
// dm-verity device stays unknown. It opens regular files only, for reading, and
// changes nothing. It does not look below an overlay. A root hash is that of
// the device which has the name of the record now; if the host was booted since,
// that says nothing.
//
// Nothing is kept between two measurements. A [Result] owns its memory. All
// functions may be called from any goroutine.
package fileprops
