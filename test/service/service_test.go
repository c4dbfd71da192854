// Package service holds tests of the units in deploy/systemd: that systemd
// understands them, how much they expose, and that they say what the daemon and
// its manual say.
package service

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

const (
	units   = "../../deploy/systemd"
	service = "ipe-auditd.service"
	socket  = "ipe-auditd.socket"

	// The helper that asks the kernel what it lost.
	lostService = "ipe-auditd-lost.service"
	lostSocket  = "ipe-auditd-lost.socket"
)

// unit is the settings of a unit, in their order, by "Section.Key".
type unit map[string][]string

// parse reads a unit. Without continuation lines, which ours do not have, the
// syntax is that of an INI file (systemd.syntax(7)).
func parse(t *testing.T, name string) unit {
	t.Helper()
	f, err := os.Open(filepath.Join(units, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u := make(unit)
	section := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch key, value, ok := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]") + "."
		case ok:
			u[section+key] = append(u[section+key], value)
		default:
			t.Fatalf("%s: %q is no setting", name, line)
		}
	}
	return u
}

// dropIns returns the names of the drop-ins.
func dropIns(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(units, "drop-ins", "*.conf"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no drop-ins: %v", err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

// variants returns every choice of drop-ins, beginning with none.
func variants(t *testing.T) [][]string {
	t.Helper()
	all := [][]string{nil}
	for _, name := range dropIns(t) {
		for _, chosen := range all {
			all = append(all, append(slices.Clone(chosen), name))
		}
	}
	return all
}

func variantName(chosen []string) string {
	return cmp.Or(strings.Join(chosen, "+"), "default")
}

// install copies the units into a directory, with the drop-ins in force, and
// with programs that are there.
func install(t *testing.T, chosen []string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(from, to string) {
		text, err := os.ReadFile(filepath.Join(units, from))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("=/usr/sbin/ipe-auditd"), []byte("="+self))
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, service+".d"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(service, service)
	for _, name := range []string{socket, lostService, lostSocket} {
		put(name, name)
	}
	for _, name := range chosen {
		put("drop-ins/"+name, service+".d/"+name)
	}
	return dir
}

// systemd returns the version of systemd-analyze.
func systemd(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs systemd-analyze (package systemd)")
	}
	var version int
	if _, scanErr := fmt.Sscanf(string(out), "systemd %d", &version); err != nil || scanErr != nil {
		t.Fatal(err, scanErr)
	}
	return version
}

// openFileUnknown is what systemd before 253 says of OpenFile=.
var openFileUnknown = regexp.MustCompile(`(?m)^.*Unknown key (name )?'OpenFile' in section '?\[?Service\]?'?, ignoring\.\n`)

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	t.Parallel()
	version := systemd(t)
	for _, chosen := range variants(t) {
		t.Run(variantName(chosen), func(t *testing.T) {
			t.Parallel()
			dir := install(t, chosen)
			out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, service), filepath.Join(dir, socket),
				filepath.Join(dir, lostService), filepath.Join(dir, lostSocket)).CombinedOutput()
			if version < 253 {
				out = openFileUnknown.ReplaceAll(out, nil)
			}
			if err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
		})
	}
}

func TestUnitsExposeNoMoreThanPromised(t *testing.T) {
	t.Parallel()
	systemd(t)
	for _, chosen := range variants(t) {
		t.Run(variantName(chosen), func(t *testing.T) {
			t.Parallel()
			// In tenths. The most is with its own socket, the network and more groups;
			// two of them are that it sees the processes of others (ProtectProc=), by
			// whose /proc a denial says who it was.
			most := 18
			if chosen == nil {
				most = 5
			}
			file := filepath.Join(install(t, chosen), service)
			out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager",
				"--threshold="+strconv.Itoa(most), file).CombinedOutput()
			if err != nil {
				t.Errorf("more than %d tenths (%v):\n%s", most, err, out)
			}
		})
	}
}

// TestHelperExposesNoMoreThanPromised is about the one unit with a capability.
func TestHelperExposesNoMoreThanPromised(t *testing.T) {
	t.Parallel()
	systemd(t)
	const most = 6 // tenths
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager",
		"--threshold="+strconv.Itoa(most), filepath.Join(install(t, nil), lostService)).CombinedOutput()
	if err != nil {
		t.Errorf("more than %d tenths (%v):\n%s", most, err, out)
	}
}

// TestHelperHasOneRightAndTakesNoOrders holds what a well-meant change would
// break.
func TestHelperHasOneRightAndTakesNoOrders(t *testing.T) {
	t.Parallel()
	main, s, k := parse(t, service), parse(t, lostService), parse(t, lostSocket)
	for _, tt := range []struct {
		unit unit
		key  string
		want []string
		why  string
	}{
		{k, "Socket.ListenStream", []string{auditstate.Socket}, "where the daemon asks"},
		{k, "Socket.SocketUser", main["Service.User"], "the daemon, and root"},
		{k, "Socket.SocketMode", []string{"0600"}, "nobody else"},
		{k, "Socket.Accept", nil, "one process, whatever the number of connections"},
		{k, "Socket.TriggerLimitIntervalSec", []string{"0"}, "a limit closes the socket for good"},
		{k, "Unit.Conflicts", nil, "the daemon asks while the system goes down"},
		{k, "Unit.DefaultDependencies", []string{"no"}, "else it conflicts with shutdown.target"},
		{k, "Install.WantedBy", []string{"sockets.target"}, ""},
		{s, "Unit.DefaultDependencies", []string{"no"}, "else it is not started while the system goes down"},
		{s, "Unit.StartLimitIntervalSec", []string{"0"}, "a limit closes the socket too"},
		{s, "Service.Restart", []string{"on-failure"}, "RestartSec= is the pace of a helper that fails, and else there is none"},
		{s, "Service.ExecStart", []string{"/usr/sbin/ipe-auditd lost"}, ""},
		{s, "Service.DynamicUser", []string{"yes"}, "the daemon's user may signal processes of its own"},
		{s, "Service.User", nil, "as above"},
		{s, "Service.AmbientCapabilities", []string{"CAP_AUDIT_CONTROL"}, "and nothing else"},
		{s, "Service.CapabilityBoundingSet", []string{"CAP_AUDIT_CONTROL"}, "and nothing else"},
		{s, "Service.RestrictAddressFamilies", []string{"AF_NETLINK"}, "it has no socket of another family but the one it is given"},
		{s, "Service.PrivateNetwork", []string{"yes"}, ""},
		{s, "Service.PrivateUsers", nil, "the kernel answers in the initial user namespace only"},
		{s, "Service.PrivatePIDs", nil, "and in the initial pid namespace only"},
		{s, "Service.StandardInput", nil, "it reads nothing"},
		{main, "Unit.After", []string{lostSocket}, "the daemon asks while it stops"},
		{main, "Unit.Requires", nil, "it works without"},
	} {
		if diff := gocmp.Diff(tt.want, tt.unit[tt.key]); diff != "" {
			t.Errorf("%s: %s\n%s", tt.key, tt.why, diff)
		}
	}
}

// TestUnitsDoWhatKeepsRecords holds what a well-meant change would break.
func TestUnitsDoWhatKeepsRecords(t *testing.T) {
	t.Parallel()
	s, k := parse(t, service), parse(t, socket)
	for _, tt := range []struct {
		unit unit
		key  string
		want []string
		why  string
	}{
		{k, "Socket.ListenNetlink", []string{"audit 1"}, "AUDIT_NLGRP_READLOG"},
		{k, "Socket.TriggerLimitIntervalSec", []string{"0"}, "a limit closes the socket, and what waits in it is lost"},
		{k, "Unit.DefaultDependencies", []string{"no"}, "else it begins after sysinit.target"},
		{k, "Install.WantedBy", []string{"sockets.target"}, ""},
		{s, "Unit.StartLimitIntervalSec", []string{"0"}, "a limit closes the socket too"},
		{s, "Service.Type", []string{"notify"}, "systemd 252 does not know notify-reload"},
		{s, "Service.Restart", []string{"always"}, ""},
		{s, "Service.RestartSec", []string{"2"}, ""},
		{s, "Service.RestartPreventExitStatus", nil, "records wait for the repair of a broken configuration"},
		{s, "Service.LogRateLimitIntervalSec", []string{"0"}, ""},
		{s, "Service.CapabilityBoundingSet", []string{""}, "none at all"},
		{s, "Service.AmbientCapabilities", []string{""}, "none at all"},
		{s, "Service.RestrictAddressFamilies", []string{"AF_UNIX"}, "no AF_NETLINK of its own"},
		{s, "Service.PrivateNetwork", []string{"yes"}, ""},
		{s, "Service.PrivateUsers", nil, "breaks the ownership of groups"},
		{s, "Service.ProcSubset", nil, "pid hides the boot id"},
		{s, "Service.DynamicUser", nil, "its directories are closed to others"},
		{s, "Service.NoExecPaths", nil, "commands of exec sinks"},
		{s, "Service.KillMode", []string{"mixed"}, "commands of exec sinks get what is spooled before they end"},
		{s, "Service.OOMPolicy", []string{"continue"}, "a command of an exec sink must not take the daemon with it"},
		{s, "Install.WantedBy", []string{"multi-user.target"}, ""},
		{s, "Install.Also", []string{socket + " " + lostSocket}, ""},
		{parse(t, "drop-ins/own-socket.conf"), "Service.CapabilityBoundingSet", []string{"CAP_AUDIT_READ"}, "and nothing else"},
		{parse(t, "drop-ins/own-socket.conf"), "Service.RestartPreventExitStatus", []string{"69 77 78"}, "not 2, by which a panic and the watchdog's abort end"},
	} {
		if diff := gocmp.Diff(tt.want, tt.unit[tt.key]); diff != "" {
			t.Errorf("%s: %s\n%s", tt.key, tt.why, diff)
		}
	}
	if _, ok := s["Service.WatchdogSec"]; !ok {
		t.Error("there is no watchdog")
	}
}

func TestUnitsNameThePlacesOfTheManual(t *testing.T) {
	t.Parallel()
	s, k := parse(t, service), parse(t, socket)
	for _, doc := range []string{"../../man/ipe-auditd.8", "../../configs/ipe-auditd.yaml"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{
			"/var/lib/" + s["Service.StateDirectory"][0],
			"/run/" + s["Service.RuntimeDirectory"][0] + "/api.sock",
			"/var/log/" + s["Service.LogsDirectory"][0],
			"/etc/" + s["Service.ConfigurationDirectory"][0] + "/ipe-auditd.yaml",
		} {
			if !bytes.Contains(text, []byte(place)) {
				t.Errorf("%s does not name %s", doc, place)
			}
		}
	}
	if got, want := k["Socket.ReceiveBuffer"][0]+"iB", config.Defaults().Source.ReceiveBuffer.String(); got != want {
		t.Errorf("ReceiveBuffer= is %s, the daemon asks for %s", got, want)
	}
	manual, err := os.ReadFile("../../man/ipe-auditd.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range s["Service.OpenFile"] {
		path, options, _ := strings.Cut(file, ":")
		if name := ".Ql " + strings.TrimSuffix(options, ":read-only,graceful") + "\n"; !bytes.Contains(manual, []byte(name)) {
			t.Errorf("the manual does not name the descriptor %q of %s", name, path)
		}
	}
	for _, name := range dropIns(t) {
		if !bytes.Contains(manual, []byte(name)) {
			t.Errorf("the manual does not name %s", name)
		}
	}
}

// TestDirectoriesAreTheSameWhoeverMakesThem compares tmpfiles.d and sysusers.d
// with the service.
func TestDirectoriesAreTheSameWhoeverMakesThem(t *testing.T) {
	t.Parallel()
	s := parse(t, service)
	text, err := os.ReadFile(filepath.Join(units, "tmpfiles.conf"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 6 && f[0] == "d" {
			got[f[1]] = strings.Join(f[2:], " ")
		}
	}
	owner := " " + s["Service.User"][0] + " " + s["Service.Group"][0] + " -"
	want := map[string]string{
		"/etc/ipe-auditd":        s["Service.ConfigurationDirectoryMode"][0] + " root root -",
		"/etc/ipe-auditd/conf.d": s["Service.ConfigurationDirectoryMode"][0] + " root root -",
		"/var/lib/ipe-auditd":    s["Service.StateDirectoryMode"][0] + owner,
		"/var/log/ipe-auditd":    s["Service.LogsDirectoryMode"][0] + owner,
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	users, err := os.ReadFile(filepath.Join(units, "sysusers.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(users, []byte("\nu "+s["Service.User"][0]+" - ")) || s["Service.User"][0] != s["Service.Group"][0] {
		t.Errorf("sysusers.conf does not make the user and group %q", s["Service.User"][0])
	}
}

func TestUsersAndDirectoriesAreMade(t *testing.T) {
	t.Parallel()
	systemd(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to give directories away")
	}
	root := t.TempDir()
	dir, err := filepath.Abs(units)
	if err == nil {
		err = os.Mkdir(filepath.Join(root, "etc"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"systemd-sysusers", "--root=" + root, filepath.Join(dir, "sysusers.conf")},
		{"systemd-tmpfiles", "--root=" + root, "--create", filepath.Join(dir, "tmpfiles.conf")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^ipe-auditd:x:\d+:\d+:[^:]*:/:/\S*nologin\n$`).Match(passwd) {
		t.Errorf("passwd: %q", passwd)
	}
	if info, err := os.Stat(filepath.Join(root, "var/lib/ipe-auditd")); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("state directory: %v, %v", info, err)
	}
}
