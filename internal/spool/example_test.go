package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

func Example() {
	s, err := spool.Open(spool.Options{}) // in memory
	if err != nil {
		log.Fatal(err)
	}
	r := s.NewReader(spool.Start{})
	defer r.Close()

	s.Append([]spool.Record{
		{Type: 1420, Data: []byte("ipe_op=EXECUTE")},
		{Type: 1422, Data: []byte("policy_name=boot"), Urgent: true},
	})
	s.Close()

	for {
		e, err := r.Next(context.Background())
		var gap *spool.GapError
		switch {
		case err == io.EOF:
			return
		case errors.As(err, &gap):
			fmt.Println(gap)
			continue
		case err != nil:
			log.Fatal(err)
		}
		fmt.Printf("%d: %d %s\n", e.Seq, e.Type, e.Data)
	}
	// Output:
	// 1: 1420 ipe_op=EXECUTE
	// 2: 1422 policy_name=boot
}
