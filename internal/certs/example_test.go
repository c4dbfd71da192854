package certs_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
)

func ExampleFiles_Client() {
	config, err := certs.Files{}.Client("logs.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.ServerName, config.RootCAs == nil, len(config.Certificates))

	_, err = certs.Files{CA: "/nonexistent/ca.pem"}.Client("")
	fmt.Println(err)
	// Output:
	// logs.example.com true 0
	// certificate authority: open /nonexistent/ca.pem: no such file or directory
}
