package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
)

func Example() {
	dir, err := os.MkdirTemp("", "events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "events.json")
	s, err := file.New(&file.Config{Path: path, Rotate: &file.RotateConfig{Size: 64 << 20, Keep: 14, Compress: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Write(ctx, &sink.Entry{Bytes: []byte(`{"event":"access"}` + "\n")}); err != nil {
		fmt.Println(err)
	}
	if err := s.Flush(ctx); err != nil {
		fmt.Println(err)
	}
	b, _ := os.ReadFile(path)
	fmt.Printf("%s", b)
	// Output: {"event":"access"}
}
