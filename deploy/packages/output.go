package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// create writes a file of the release, whole or not at all.
func (b *build) create(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(b.out, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return b.publish(f.Name(), name)
}

// publish moves a finished file to its place and says so.
func (b *build) publish(file, name string) error {
	if err := os.Rename(file, filepath.Join(b.out, name)); err != nil {
		return err
	}
	b.written = append(b.written, name)
	fmt.Println(filepath.Join(b.out, name))
	return nil
}

// sums writes SHA256SUMS over everything that was written.
func (b *build) sums() error {
	names := slices.Sorted(slices.Values(b.written))
	return b.create("SHA256SUMS", func(w io.Writer) error {
		for _, name := range names {
			digest, err := sha256File(filepath.Join(b.out, name))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s  %s\n", digest, name); err != nil {
				return err
			}
		}
		return nil
	})
}
