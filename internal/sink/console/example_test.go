package console_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
)

func Example() {
	ctx := context.Background()
	s := console.New(os.Stdout)
	if err := s.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Write(ctx, &sink.Entry{Bytes: []byte("denied EXECUTE /tmp/x\n")}); err != nil {
		fmt.Println(err)
	}
	if err := s.Flush(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: denied EXECUTE /tmp/x
}
