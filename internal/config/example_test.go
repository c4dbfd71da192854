package config_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

func Example() {
	_, _, err := config.Parse("ipe-auditd.yaml", []byte(`
sinks:
  - type: file
    path: /var/log/ipe-auditd/events.json
    rotate: {size: 64MB}
    formt: json
`))
	fmt.Println(err)
	// Output:
	// ipe-auditd.yaml:5:20: sinks[0].rotate.size: "64MB" is not a size; did you mean "64MiB"?
	//      5 |     rotate: {size: 64MB}
	//        |                    ^
	// ipe-auditd.yaml:6:5: unknown key "formt" in sinks[0]; did you mean "format"?
	//      6 |     formt: json
	//        |     ^
}
