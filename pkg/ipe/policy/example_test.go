package policy_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func ExampleParse() {
	_, err := policy.Parse([]byte("policy_name=lab policy_version=1.0.0\nDEFAULT action=MAYBE\n"))
	fmt.Println(err)
	// Output:
	// line 2, column 9: "action=MAYBE" in place of the action: a rule ends with action=ALLOW or action=DENY (EBADMSG)
}

func ExamplePolicy_Judge() {
	p, err := policy.Parse([]byte(`policy_name=lab policy_version=1.0.0
DEFAULT action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	memory := policy.NoFile()
	j := p.Judge(policy.OpExecute, &memory)
	fmt.Printf("%v by line %d: %v\n", j.Action, p.Rules[j.Rule].Line, &p.Rules[j.Rule])
	// Output:
	// DENY by line 2: DEFAULT action=DENY
}
