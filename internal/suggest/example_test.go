package suggest_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/suggest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func ExampleSuggest() {
	sealed := func(fileprops.Object) fileprops.Result {
		facts := policy.NoFile()
		facts.FSVerityDigest = policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: []byte{0xc0, 0xde}}}
		return fileprops.Result{State: fileprops.StateMeasured, Facts: facts}
	}
	s, err := suggest.Suggest(suggest.Options{
		Measure: sealed,
		Denials: []suggest.Denial{{
			Op: "EXECUTE", Hooks: []string{"BPRM_CHECK"}, Denied: 3, Comms: []string{"sh"},
			Object: fileprops.Object{Path: "/usr/local/bin/build", Dev: "vda2", Ino: 351},
		}},
		Base: []byte("policy_name=lab policy_version=1.0.0\nDEFAULT action=DENY\n"), BaseName: "lab.pol",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", s.Text)
	// Output:
	// policy_name=lab policy_version=1.0.1
	// DEFAULT action=DENY
	//
	// # /usr/local/bin/build dev=vda2 ino=351: denied 3 times, by sh
	// op=EXECUTE fsverity_digest=sha256:c0de action=ALLOW
}
