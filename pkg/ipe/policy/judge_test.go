package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// judged is a policy whose rules are the index of a test's expectations.
const judged = `policy_name=p policy_version=0.0.1
op=EXECUTE boot_verified=TRUE action=ALLOW
op=EXECUTE fsverity_digest=sha256:bad0 action=DENY
op=KMODULE action=DENY
op=EXECUTE fsverity_signature=TRUE dmverity_signature=FALSE action=ALLOW
DEFAULT action=ALLOW
op=EXECUTE dmverity_roothash=sha256:aa action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=KMODULE boot_verified=TRUE action=ALLOW
`

func mustParse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestJudge(t *testing.T) {
	t.Parallel()
	p := mustParse(t, judged)
	digest := func(b ...byte) policy.DigestFact {
		return policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: b}}
	}
	for _, tt := range []struct {
		name  string
		op    policy.Op
		facts policy.Facts
		want  policy.Judgement
	}{
		{"the operation's default", policy.OpExecute, policy.NoFile(), policy.Judgement{Action: policy.Deny, Rule: 6}},
		{"the global default", policy.OpFirmware, policy.NoFile(), policy.Judgement{Action: policy.Allow, Rule: 4}},
		{"an operation without a name", policy.OpNone, policy.NoFile(), policy.Judgement{Action: policy.Allow, Rule: 4}},
		{"the first rule that matches", policy.OpKModule, policy.Facts{BootVerified: policy.True}, policy.Judgement{Action: policy.Deny, Rule: 2}},
		{"a property", policy.OpExecute, policy.Facts{BootVerified: policy.True}, policy.Judgement{Action: policy.Allow, Rule: 0}},
		{
			"a digest", policy.OpExecute, policy.Facts{BootVerified: policy.False, FSVerityDigest: digest(0xba, 0xd0)},
			policy.Judgement{Action: policy.Deny, Rule: 1},
		},
		{
			"all properties have to hold", policy.OpExecute,
			policy.Facts{
				BootVerified: policy.False, FSVerityDigest: digest(1), FSVeritySignature: policy.True, DMVeritySignature: policy.True,
				DMVerityRootHash: digest(0xaa),
			},
			policy.Judgement{Action: policy.Allow, Rule: 5},
		},
		{
			"one that does not hold is enough", policy.OpExecute,
			policy.Facts{BootVerified: policy.False, FSVerityDigest: digest(1), FSVeritySignature: policy.False, DMVerityRootHash: digest(0xab)},
			policy.Judgement{Action: policy.Deny, Rule: 6},
		},
		{
			"nothing known", policy.OpExecute, policy.Facts{},
			policy.Judgement{Rule: 6, Maybe: []int{0, 1, 3, 5}},
		},
		{
			"what is not known does not matter", policy.OpExecute,
			policy.Facts{BootVerified: policy.Unknown, FSVerityDigest: digest(1), FSVeritySignature: policy.True, DMVeritySignature: policy.False},
			policy.Judgement{Action: policy.Allow, Rule: 3, Maybe: []int{0}},
		},
		{
			"what is not known matters", policy.OpExecute,
			policy.Facts{BootVerified: policy.False, FSVerityDigest: policy.DigestFact{}, FSVeritySignature: policy.False, DMVerityRootHash: digest(0xaa)},
			policy.Judgement{Rule: 5, Maybe: []int{1}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, p.Judge(tt.op, &tt.facts), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgeAllowsWhatNoRuleIsFor(t *testing.T) {
	t.Parallel()
	text := "policy_name=p policy_version=0.0.1\n"
	for _, op := range policy.Ops() {
		text += "DEFAULT op=" + op.String() + " action=DENY\n"
	}
	facts := policy.NoFile()
	got := mustParse(t, text).Judge(policy.OpNone, &facts)
	if diff := cmp.Diff(policy.Judgement{Action: policy.Allow, Rule: -1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestJudgeSaysUnknownOnlyWhenItIs tries every way to fill in what is not
// known: the action is known exactly if all ways agree.
func TestJudgeSaysUnknownOnlyWhenItIs(t *testing.T) {
	t.Parallel()
	p := mustParse(t, judged)
	truths := []policy.Truth{policy.Unknown, policy.False, policy.True}
	digests := []policy.DigestFact{{}, {Has: policy.False}}
	for _, sum := range [][]byte{{0xba, 0xd0}, {0xaa}, {1}} {
		digests = append(digests, policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: sum}})
	}
	var all []policy.Facts
	for _, boot := range truths {
		for _, dm := range truths {
			for _, fs := range truths {
				for _, root := range digests {
					for _, file := range digests {
						all = append(all, policy.Facts{BootVerified: boot, DMVeritySignature: dm, FSVeritySignature: fs, DMVerityRootHash: root, FSVerityDigest: file})
					}
				}
			}
		}
	}
	fills := func(known, f policy.Truth) bool {
		return f != policy.Unknown && (known == policy.Unknown || known == f)
	}
	fillsDigest := func(known, f *policy.DigestFact) bool {
		return fills(known.Has, f.Has) && (known.Has != policy.True || known.Digest.Equal(f.Digest))
	}
	for _, known := range all {
		actions := map[policy.Action]bool{}
		for _, f := range all {
			if fills(known.BootVerified, f.BootVerified) && fills(known.DMVeritySignature, f.DMVeritySignature) && fills(known.FSVeritySignature, f.FSVeritySignature) &&
				fillsDigest(&known.DMVerityRootHash, &f.DMVerityRootHash) && fillsDigest(&known.FSVerityDigest, &f.FSVerityDigest) {
				actions[p.Judge(policy.OpExecute, &f).Action] = true
			}
		}
		want := policy.ActionNone
		if len(actions) == 1 {
			for want = range actions {
			}
		}
		if got := p.Judge(policy.OpExecute, &known); got.Action != want {
			t.Fatalf("Judge(%+v) = %+v, but the actions are %v", known, got, actions)
		}
	}
}
