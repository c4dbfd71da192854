package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stampLayout    = "20060102T150405.000Z"
	gzipSuffix     = ".gz"
	unfinished     = ".gz.tmp"
	rotateInterval = time.Minute // between attempts that fail
)

func (r *RotateConfig) check() error {
	switch {
	case r.Size < 0 || r.Age < 0 || r.Keep < 0:
		return errors.New("rotate: size, age and keep must not be negative")
	case r.Size == 0 && r.Age == 0 && (r.Keep > 0 || r.Compress):
		return errors.New("rotate: keep and compress need size or age")
	}
	return nil
}

// enabled reports whether r ever rotates.
func (r *RotateConfig) enabled() bool { return r.Size > 0 || r.Age > 0 }

// due reports whether a file of size bytes and that age is to be rotated before
// more bytes are written.
func (r *RotateConfig) due(size, more int64, age time.Duration) bool {
	return size > 0 && (r.Size > 0 && size+more > int64(r.Size) || r.Age > 0 && age >= r.Age)
}

// rotate moves the file aside and begins a new one. When it cannot be moved,
// that is reported and the file grows on: entries come first.
func (s *Sink) rotate(now time.Time) error {
	if err := s.moveAside(now); err != nil {
		s.nextRotate = now.Add(rotateInterval)
		s.report(fmt.Errorf("rotate %s: %w", s.path, err))
		return nil
	}
	if err := s.open(); err != nil {
		// The open file is no longer the one called path. Nothing must go there.
		s.file.Close()
		s.file = nil
		return err
	}
	s.tidier.wake()
	return nil
}

func (s *Sink) moveAside(now time.Time) error {
	d, err := openDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer d.close()
	for ; ; now = now.Add(time.Millisecond) {
		to := s.name + "." + now.UTC().Format(stampLayout)
		if d.has(to) || d.has(to+gzipSuffix) {
			continue
		}
		if err := unix.Renameat(d.fd, s.name, d.fd, to); err != nil {
			return os.NewSyscallError("rename", err)
		}
		return nil
	}
}

func (d *dir) has(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// parseRotated splits the name of a rotated file of base: the part without
// .gz, which sorts by time, and what is behind it.
func parseRotated(name, base string) (stem, suffix string, ok bool) {
	stamp, ok := strings.CutPrefix(name, base+".")
	if !ok || len(stamp) < len(stampLayout) {
		return "", "", false
	}
	stamp, suffix = stamp[:len(stampLayout)], stamp[len(stampLayout):]
	if suffix != "" && suffix != gzipSuffix && suffix != unfinished {
		return "", "", false
	}
	_, err := time.Parse(stampLayout, stamp)
	return base + "." + stamp, suffix, err == nil
}
