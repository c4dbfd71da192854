package packages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manager stands for the programs of a host.
func manager(answers map[string]string) (*Owners, *[]string) {
	var asked []string
	return &Owners{run: func(ctx context.Context, name string, args ...string) (string, error) {
		line := strings.Join(append([]string{name}, args...), " ")
		asked = append(asked, line)
		if out, ok := answers[line]; ok && ctx.Err() == nil {
			return out, nil
		}
		return "", errors.New("exit status 1")
	}}, &asked
}

func TestOwners(t *testing.T) {
	t.Parallel()
	const version = "dpkg-query -W -f ${Version} -- "
	o, asked := manager(map[string]string{
		"dpkg-query -S -- /bin/true":                             "diversion by dash from: /bin/true\ncoreutils: /bin/true\n",
		version + "coreutils":                                    "9.1-1",
		"dpkg-query -S -- /usr/bin/tool":                         "lab:amd64: /usr/bin/tool\n",
		"dpkg-query -S -- /etc":                                  "base-files, lab: /etc\n",
		`rpm -qf --qf %{NAME} %{VERSION}-%{RELEASE}\n -- /opt/x`: "x 1.0-2.fc43\n",
	})
	defer o.Close()
	for _, tt := range []struct{ file, want string }{
		{"/usr/bin/true", "coreutils 9.1-1"}, {"/bin/true", "coreutils 9.1-1"}, {"/usr/bin/tool", "lab:amd64"}, {"/opt/x", "x 1.0-2.fc43"},
		{"/etc", ""}, {"/absent", ""}, {"", ""}, {"relative", ""}, {"/a*", ""}, {"/a\nb", ""}, {"/\xff", ""}, {"--help", ""},
	} {
		if got := o.Of(tt.file); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.file, got, tt.want)
		}
	}
	before := len(*asked)
	for _, file := range []string{"/usr/bin/true", "/absent", "/a*"} {
		o.Of(file)
	}
	if len(*asked) != before {
		t.Errorf("asked again: %q", (*asked)[before:])
	}
	for _, line := range *asked {
		if words := strings.Fields(line); !slices.Contains(words, "--") {
			t.Errorf("%q: a path could be an option", line)
		}
	}
}

func TestAskingIsBounded(t *testing.T) {
	t.Parallel()
	o, asked := manager(nil)
	for i := range 2 * maxPaths {
		o.Of(fmt.Sprint("/x/", i))
	}
	if want := 2 * maxPaths; len(*asked) != want { // dpkg and rpm each
		t.Errorf("asked %d times, want %d", len(*asked), want)
	}
	o, asked = manager(nil)
	o.Of("/a")
	o.Close() // as when the time is over
	n := len(*asked)
	if diff := cmp.Diff("", o.Of("/b")); diff != "" || len(*asked) != n {
		t.Errorf("asked when the time was over: %q", *asked)
	}
}
