// Package file is the sink that appends to a file.
//
// One flush is one write(2) with O_APPEND. A flush that fails, as on a full
// disk, is taken back: the file ends after the last whole entry that was
// flushed, and the runner writes the rest again when it can. What a crash tore
// is cut off at the next Open. So no reader finds half an entry with another
// one behind it, and without a crash none finds an entry twice.
//
// A file that was moved or removed by an outside rotation is noticed at the
// next flush, and at once by [Sink.Reopen]; one that was truncated (logrotate's
// copytruncate) simply grows again. Only one process may append to a file.
//
// The file is never reached through a symbolic link: not as its last component,
// and on the way only through links of root or of our own user. It must be a
// regular file; in a directory where others may create files it must be root's
// or ours, with one name only. It is created with the configured mode whatever
// the umask, readable by others only once it has its group. Directories are not
// created.
//
// # Rotation
//
// Rotation is our own, some 200 lines, after timberjack v1.4.9 was weighed (and
// lumberjack, which leaks a goroutine at Close). By its source, timberjack
//
//   - has no access to its file, so that a write cut short by a full disk cannot
//     be taken back: half a line stays, and the next one is glued to it;
//   - opens with O_CREATE|O_TRUNC through symbolic links and then calls chmod
//     and chown by name, which hands the mode and owner of the log to the target
//     of a link that somebody puts there in time;
//   - opens new files without O_APPEND, and writes on to a file that was moved
//     away, with no way to reopen it;
//   - refuses a write longer than its limit for ever, and reopens after Close;
//   - counts the age from its own start: restarted daily, it never rotates daily;
//   - reports what goes wrong in its goroutine to standard error or not at all.
//
// Each would need a fork. Ours shares the directory descriptor and the checks
// with Open, keeps names that sort by time, and compresses into a temporary file
// that is renamed once it is on the disk, so that a crash at any point leaves
// each entry in at least one rotated file and nothing that the next start does
// not finish.
//
// The package refuses to format, to create directories, and to append to
// anything but regular files. Bytes lent to Write are copied before it returns.
package file
