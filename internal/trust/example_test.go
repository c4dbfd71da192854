package trust_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/trust"
)

func Example() {
	var kernelOnly trust.Senders
	_, ok := kernelOnly.StandIn()
	fmt.Println(ok)

	_, ok = trust.StandIn(0).StandIn()
	fmt.Println(ok)
	// Output:
	// false
	// true
}
