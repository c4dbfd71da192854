package engines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
)

// operator is who hands out credentials, as nsc does.
type operator struct {
	t      testing.TB
	key    nkeys.KeyPair
	claims *jwt.OperatorClaims
	keeps  server.MemAccResolver
}

func newOperator(t testing.TB) *operator {
	o := &operator{t: t}
	var err error
	o.key, err = nkeys.CreateOperator()
	check(t, err)
	text, err := jwt.NewOperatorClaims(public(t, o.key)).Encode(o.key)
	check(t, err)
	o.claims, err = jwt.DecodeOperatorClaims(text)
	check(t, err)
	return o
}

func public(t testing.TB, k nkeys.KeyPair) string {
	t.Helper()
	s, err := k.PublicKey()
	check(t, err)
	return s
}

// account makes an account, with streams where that is wanted.
func (o *operator) account(streams bool) nkeys.KeyPair {
	o.t.Helper()
	key, err := nkeys.CreateAccount()
	check(o.t, err)
	claims := jwt.NewAccountClaims(public(o.t, key))
	if streams {
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	}
	text, err := claims.Encode(o.key)
	check(o.t, err)
	check(o.t, o.keeps.Store(public(o.t, key), text))
	return key
}

// credentials writes those of a user who may publish only where allow says.
func (o *operator) credentials(account nkeys.KeyPair, allow ...string) string {
	o.t.Helper()
	key, err := nkeys.CreateUser()
	check(o.t, err)
	claims := jwt.NewUserClaims(public(o.t, key))
	claims.Permissions.Pub.Allow = allow
	if allow != nil {
		claims.Permissions.Sub.Allow = []string{"_INBOX.>"}
	}
	text, err := claims.Encode(account)
	check(o.t, err)
	seed, err := key.Seed()
	check(o.t, err)
	file, err := jwt.FormatUserConfig(text, seed)
	check(o.t, err)
	path := filepath.Join(o.t.TempDir(), "user.creds")
	check(o.t, os.WriteFile(path, file, 0o600))
	return path
}

// The rights that the manual names are enough, and what is not permitted is said.
func TestCredentials(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	system, account := o.account(false), o.account(true)
	s := startServer(t, func(opts *server.Options) {
		opts.TrustedOperators, opts.AccountResolver = []*jwt.OperatorClaims{o.claims}, &o.keeps
		opts.SystemAccount = public(t, system)
	})
	admin := o.credentials(account)
	f := form(t, format.AppendJSON)
	sinkAs := func(credentials string, change func(*natsOptions)) error {
		out, _ := newSink(t, url(s), func(n *natsOptions) {
			n.Credentials, n.Timeout = credentials, 3*time.Second
			if change != nil {
				change(n)
			}
		})
		return deliver(t, out, denial(f, "a", 1, longAgo, 0))
	}
	check(t, sinkAs(admin, func(n *natsOptions) { n.Create = true }))
	check(t, sinkAs(o.credentials(account, "ipe.>", "$JS.API.STREAM.INFO.IPE"), nil))
	for name, tt := range map[string]struct{ credentials, want string }{
		"may not publish": {o.credentials(account, "$JS.API.STREAM.INFO.IPE"), `Permissions Violation for Publish to "ipe.a.access"`},
		"may not look":    {o.credentials(account, "ipe.>"), `Permissions Violation for Publish to "$JS.API.STREAM.INFO.IPE"`},
		"none":            {"", "Authorization Violation"},
	} {
		if err := sinkAs(tt.credentials, nil); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	reader := o.credentials(account, "$JS.API.STREAM.INFO.IPE", "$JS.API.CONSUMER.CREATE.IPE.>", "$JS.API.CONSUMER.MSG.NEXT.IPE.>", "$JS.API.CONSUMER.DELETE.IPE.>")
	place := url(s) + "/IPE?credentials=" + reader
	if out, complaint, code := run(t, "tail", "--no-follow", place); code != 0 || !strings.Contains(out, "tool-1") || complaint != "" {
		t.Errorf("tail: exit %d, %s%s", code, out, complaint)
	}
	if out, complaint, code := run(t, "report", place); code != 0 || !strings.Contains(out, "tool-1") || complaint != "" {
		t.Errorf("report: exit %d, %s%s", code, out, complaint)
	}
	check(t, os.Chmod(reader, 0o644))
	if _, complaint, code := run(t, "report", place); code != 1 || !strings.Contains(complaint, "chmod 0600") {
		t.Errorf("report with credentials that others may read: exit %d, %s", code, complaint)
	}
}
