package eventsource_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
)

func Example() {
	h, err := eventsource.Open(context.Background(), eventsource.Options{
		Names: []string{"-"},
		Stdin: strings.NewReader(`type=1420 audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"
{"spool":"5f1c9a0277d8e3b4","seq":9,"time":"2026-11-23T13:31:42.000Z","event":"access","verdict":"would_deny","ipe_op":"KMODULE","path":"/tmp/dummy.ko"}
`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	for {
		ev, err := h.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Println(err) // of one source: the next one follows
			continue
		}
		fmt.Println(ev.At, ev.Verdict, string(ev.Op), string(ev.Path))
	}
	// Output:
	// 0000000000000000:0 denied EXECUTE /tmp/true
	// 5f1c9a0277d8e3b4:9 would_deny KMODULE /tmp/dummy.ko
}
