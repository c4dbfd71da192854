package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// archive writes the source archive: what git has, the modules (vendor) and the
// version. In an unpacked archive there is nothing to do.
func (b *build) archive(ctx context.Context, top string) error {
	if _, err := os.Stat(filepath.Join(top, "vendor", "modules.txt")); err == nil {
		b.source = top
		return nil
	}
	name := "ipe-auditd-" + b.version
	b.source = filepath.Join(b.scratch, name)
	files, err := output(ctx, top, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for file := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		switch err := copyFile(filepath.Join(b.source, file), filepath.Join(top, file)); {
		case os.IsNotExist(err): // removed, and not committed yet
		case err != nil:
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(b.source, versionFile), []byte(b.release.String()), 0o644); err != nil {
		return err
	}
	if _, err := output(ctx, b.source, []string{"GOFLAGS=", "GOWORK=off"}, "go", "mod", "vendor"); err != nil {
		return err
	}
	return b.create(name+".tar.gz", func(w io.Writer) error {
		zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		tw := tar.NewWriter(zw)
		if err := b.tarTree(tw, b.source, name); err != nil {
			return err
		}
		if err := tw.Close(); err != nil {
			return err
		}
		return zw.Close()
	})
}

// tarTree adds the files of a folder, in the order of their names and with
// nothing of this machine: root's, readable for all, of one time.
func (b *build) tarTree(tw *tar.Writer, dir, name string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: name + "/" + filepath.ToSlash(rel), Mode: int64(plainMode(info.Mode())), Size: info.Size(),
			ModTime: b.time, Uname: "root", Gname: "root", Format: tar.FormatPAX,
		}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(tw, f)
		return err
	})
}

// plainMode is 0755 for what its owner may execute and 0644 for the rest,
// whatever the umask was when it was checked out.
func plainMode(mode fs.FileMode) fs.FileMode {
	if mode&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// copyFile copies a regular file and makes the folders above it.
func copyFile(to, from string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, text, plainMode(info.Mode()))
}

// writeFile writes a file with exactly this mode and makes the folders above it.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, text, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
