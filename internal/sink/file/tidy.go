package file

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// tidier compresses and removes rotated files in a goroutine of its own, so
// that entries do not wait for it. The zero value is at rest.
type tidier struct {
	cancel context.CancelFunc
	work   chan struct{} // holds a token while there may be something to do
	done   sync.WaitGroup
}

// start begins to work for s, first on what an earlier run left.
func (t *tidier) start(s *Sink) {
	if !s.rotation.enabled() || !s.rotation.Compress && s.rotation.Keep == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	work := make(chan struct{}, 1)
	t.cancel, t.work = cancel, work
	t.wake()
	t.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-work:
			}
			if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
				s.report(fmt.Errorf("tidy up behind %s: %w", s.path, err))
			}
		}
	})
}

// wake says that there may be something to do.
func (t *tidier) wake() {
	select {
	case t.work <- struct{}{}:
	default: // not running, or told already
	}
}

// stop stops in the middle of whatever it does, which leaves nothing that the
// next start does not take up, and waits for the end.
func (t *tidier) stop() {
	if t.cancel != nil {
		t.cancel()
		t.done.Wait()
		*t = tidier{}
	}
}

// tidy removes rotated files beyond those to keep, then compresses the others.
func (s *Sink) tidy(ctx context.Context) error {
	d, err := openDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.names()
	if err != nil {
		return err
	}
	suffixes := map[string][]string{} // by stem
	var stems []string
	for _, name := range names {
		stem, suffix, ok := parseRotated(name, s.name)
		if !ok {
			continue
		}
		if suffixes[stem] == nil {
			stems = append(stems, stem)
		}
		suffixes[stem] = append(suffixes[stem], suffix)
	}
	slices.Sort(stems)
	if keep := s.rotation.Keep; keep > 0 && len(stems) > keep {
		for _, stem := range stems[:len(stems)-keep] {
			for _, suffix := range suffixes[stem] {
				if err := d.remove(stem + suffix); err != nil {
					return err
				}
			}
		}
		stems = stems[len(stems)-keep:]
	}
	if !s.rotation.Compress {
		return nil
	}
	for _, stem := range stems {
		plain := slices.Contains(suffixes[stem], "")
		switch {
		case plain && slices.Contains(suffixes[stem], gzipSuffix):
			// Stopped after the compressed file was whole, before this was removed.
			err = d.remove(stem)
		case plain:
			err = d.compress(ctx, stem)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the names in d.
func (d *dir) names() ([]string, error) {
	f, err := d.openat(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// compress replaces the file called name by name.gz, with the same mode and
// group. The new one is whole and on the disk before the old one goes.
func (d *dir) compress(ctx context.Context, name string) (err error) {
	in, err := d.openat(name, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := d.check(in); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(in.Fd()), &st); err != nil {
		return d.error("stat", name, err)
	}
	tmp := name + unfinished
	if d.has(tmp) {
		if err := d.remove(tmp); err != nil {
			return err
		}
	}
	out, err := d.create(tmp, os.FileMode(st.Mode&0o777), int(st.Gid))
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			unix.Unlinkat(d.fd, tmp, 0)
		}
	}()
	z := gzip.NewWriter(out)
	z.Name = name
	if _, err := io.Copy(z, &reader{ctx, in}); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := unix.Renameat(d.fd, tmp, d.fd, name+gzipSuffix); err != nil {
		return d.error("rename", tmp, err)
	}
	if err := syncDir(d); err != nil {
		return err
	}
	return d.remove(name)
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

func (d *dir) remove(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return d.error("remove", name, err)
	}
	return nil
}

// syncDir makes the names in d durable.
func syncDir(d *dir) error {
	f, err := d.openat(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
