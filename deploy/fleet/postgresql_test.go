package fleet

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
)

// postgres is a server of a test.
type postgres struct {
	t          *testing.T
	bin, dir   string
	credential *syscall.Credential
}

// startPostgres starts one, on a unix socket only. It refuses to be root's, so then it
// is that of the user postgres.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{t: t, dir: t.TempDir()}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if found == nil {
		t.Skip("needs PostgreSQL (Debian: postgresql)")
	}
	p.bin = filepath.Dir(found[len(found)-1])
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skipf("PostgreSQL does not run as root: %v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		p.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(p.dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(p.dir, "data")
	p.run(nil, filepath.Join(p.bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C.UTF-8")
	p.run(nil, filepath.Join(p.bin, "pg_ctl"), "-D", data, "-w", "-t", "120", "-l", filepath.Join(p.dir, "log"),
		"-o", "-c listen_addresses='' -c fsync=off -c unix_socket_directories="+p.dir, "start")
	t.Cleanup(func() { p.run(nil, filepath.Join(p.bin, "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop") })
	return p
}

// run runs a program, and returns what it prints.
func (p *postgres) run(stdin []byte, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	// Files and not pipes, which the server would keep open.
	out, err := os.Create(filepath.Join(p.t.TempDir(), "out"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), out, out
	err = cmd.Run()
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return string(text)
}

// psql runs statements, or a file with lines for it to read.
func (p *postgres) psql(statements string, more ...string) string {
	p.t.Helper()
	args := append([]string{filepath.Join(p.bin, "psql"), "-h", p.dir, "-U", "postgres", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1"}, more...)
	return p.run([]byte(statements), args...)
}

func TestPostgreSQLAnswers(t *testing.T) {
	t.Parallel()
	p := startPostgres(t)
	s := newSample()
	schema, err := os.ReadFile("postgresql.sql")
	if err != nil {
		t.Fatal(err)
	}
	p.psql(string(schema))
	copyFile := filepath.Join(p.dir, "copy.sql")
	text, err := os.ReadFile("copy.sql")
	if err == nil {
		err = os.WriteFile(copyFile, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.psql(string(s.appendAll(nil, format.AppendJSON)), "-f", copyFile)

	if got, want := strings.TrimSpace(p.psql("SELECT count(*) FROM ipe_events")), strconv.Itoa(len(s.events)/2); got != want {
		t.Errorf("%s events are kept of %s that came twice", got, want)
	}
	if got := strings.TrimSpace(p.psql(`SELECT DISTINCT data->>'comm', data->>'comm_hex' FROM ipe_events WHERE event = 'access'`)); got != "x\uFFFDy|" {
		t.Errorf("a NUL comes out as %q", got)
	}
	p.psql("UPDATE ipe_events SET received = time") // as if they had come at once
	asked := questions(t, "queries.sql", "--")
	s.answers(t, asked, func(t *testing.T, name, question string) []string {
		out := p.psql(question, "-v", "since='"+s.since.Format("2006-01-02T15:04:05.000Z07:00")+"'")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for i := range lines {
			f := strings.Split(lines[i], "|")
			switch name { // columns whose values are times, or ids
			case "new_denials":
				f = f[:len(f)-1]
			case "permissive", "silent":
				f = f[:1]
			case "holes":
				f = slices.Delete(f, 1, 2)
			}
			lines[i] = strings.Join(f, "|")
		}
		if name == "silent" {
			slices.Sort(lines) // by the last time, and then by name
		}
		return lines
	})
}
