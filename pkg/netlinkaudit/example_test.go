package netlinkaudit_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// A program that prints every denial, forgery and loss as it happens.
func Example() {
	conn, err := netlinkaudit.Listen(&netlinkaudit.Config{
		Types:      []uint16{1420}, // AUDIT_IPE_ACCESS
		ReadBuffer: 16 << 20,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	var forged, dropped uint64
	for {
		msgs, err := conn.Receive()
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range msgs {
			fmt.Printf("%d %s\n", m.Type, m.Data)
		}
		if n := conn.Stats().Forged; n != forged {
			fmt.Printf("%d forged messages\n", n-forged)
			forged = n
		}
		if n, err := conn.Drops(); err == nil && n != dropped {
			fmt.Printf("%d messages lost\n", n-dropped)
			dropped = n
		}
	}
}

func ExampleListen() {
	conn, err := netlinkaudit.Listen(nil)
	switch {
	case errors.Is(err, netlinkaudit.ErrPermission):
		os.Exit(77) // EX_NOPERM
	case err != nil:
		log.Fatal(err)
	}
	defer conn.Close()
	if !conn.NamespaceVerified() {
		log.Print("cannot see whether this is the network namespace of the host")
	}
}

// The descriptor comes from a systemd socket unit with ListenNetlink=audit 1.
func ExampleFileConn() {
	f := os.NewFile(3, "audit")
	conn, err := netlinkaudit.FileConn(f, &netlinkaudit.Config{Types: []uint16{1404, 1420, 1421, 1422, 1423}})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	_ = f.Close() // conn has a descriptor of its own
}

func ExampleConn_Receive() {
	conn, err := netlinkaudit.Listen(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		log.Fatal(err)
	}
	var kept []string
	for {
		msgs, err := conn.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range msgs {
			kept = append(kept, string(m.Data)) // copied: m.Data dies with the next Receive
		}
	}
	fmt.Println(len(kept), "records in a second")
}

func ExampleConn_ReadBuffer() {
	const want = 128 << 20
	conn, err := netlinkaudit.Listen(&netlinkaudit.Config{ReadBuffer: want})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ReadBuffer(); got < want {
		log.Printf("receive buffer: asked for %d bytes, got %d: grant CAP_NET_ADMIN or raise net.core.rmem_max", want, got)
	}
}
