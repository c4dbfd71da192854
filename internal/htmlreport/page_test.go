package htmlreport

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// hostile is what a path may be: it closes elements, opens a script, turns the
// direction of what follows.
const hostile = `</td></script><script>alert(1)</script><img src=x onerror=alert(2)>"'&{{.}}` + "\u202e${1}"

func at(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

// oneHost is a page of one host with something in each part of it.
func oneHost() *Data {
	d := &Data{
		Source: "/var/lib/ipe-auditd", Events: 4321, First: at(1), Last: at(600), Written: at(700), Version: "1.2.3", Hosts: 1,
		Warnings: []string{"At least 12 events were lost at stage kernel.", "/tmp/x.gz: 3 lines could not be read: " + hostile},
		Verdicts: []Count{{"denied", "denied", 1234567}, {"would be denied", "would_deny", 42}, {"mode unknown", "unknown", 3}, {"allowed", "allowed", 3042}},
		InForce:  []State{{Policy: "prod 1.4.2", Digest: "sha256:" + strings.Repeat("ab", 32), Mode: "enforcing", Since: at(300), Hosts: 1, Names: []string{"a"}}},
		Gaps: []Gap{
			{From: at(100), Until: at(130), Text: "at least 12 events, at stage kernel"},
			{From: at(420), Until: at(420), Text: "of unknown number, at stage socket"},
		},
		Policies: []Span{
			{From: at(0), Until: at(200), Policy: "boot_verified 0.0.0", Mode: "permissive"},
			{From: at(200), Until: at(300), Policy: "prod 1.4.1", Mode: "permissive"},
			{From: at(300), Until: at(600), Policy: "prod 1.4.2", Mode: "enforcing"},
		},
		Timeline: []Entry{
			{Time: at(200), Text: "policy prod 1.4.1 became active"},
			{Time: at(130), Text: "lost: at least 12 events", Loss: true},
			{Time: at(300), Text: "policy prod 1.4.2 became active, enforcing"},
		},
		Tops: []Top{
			{"Objects", []Count{{Label: "/opt/build/bin/generate", N: 900}, {Label: hostile, N: 90}}, 12},
			{"Users", []Count{{Label: "alice (auid 1000)", N: 600}, {Label: "root (auid unset)", N: 400}}, 0},
		},
		Notes: []string{"Only the 500 most frequent kinds are shown; see report --json."},
	}
	d.Histogram = Histogram{Start: at(0), Width: 10 * time.Minute}
	for i := range 60 {
		d.Histogram.Bins = append(d.Histogram.Bins, [4]uint64{uint64(i*i) % 37, uint64(i) % 7, uint64(i / 50), 5})
	}
	for i, verdict := range []string{"denied", "would_deny", "unknown"} {
		d.Denials = append(d.Denials, Denial{
			Verdict: verdict, Count: uint64(5 * (i*i - 2*i + 3)), Hosts: 1, New: i == 1, First: at(i), Last: at(600 - i),
			Op: "EXECUTE", Hook: "BPRM_CHECK", Object: fmt.Sprintf("/opt/tool-%d", i), Rule: "DEFAULT action=DENY", Policy: "prod 1.4.2",
			Who:         "by alice (auid 1000) /usr/bin/bash in build.service",
			Explanation: []string{"No rule of the policy matched, and its default for EXECUTE is DENY."},
			Allow:       "op=EXECUTE fsverity_digest=sha256:" + strings.Repeat("cd", 32) + " action=ALLOW",
		})
	}
	d.Denials[2].Object = hostile
	return d
}

// fleet is a page of many hosts.
func fleet() *Data {
	d := oneHost()
	d.Hosts, d.Policies = 1200, nil
	d.InForce = append(d.InForce, State{Policy: "prod 1.4.1", Mode: "permissive", Since: at(10), Hosts: 7, Names: []string{"db-1", "db-2", hostile}})
	d.InForce[0].Hosts = 1193
	for i := range d.Denials {
		d.Denials[i].Hosts = uint64(i + 1)
	}
	d.Gaps[0].Host, d.Timeline[1].Host = "db-2", "db-2"
	return d
}

// TestPagesInChromium looks at the pages as people see them: nothing is
// requested, logged or executed, texts are whole, the numbers are there, search
// and sorting work by keyboard.
func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	dir := pictures(t)
	var files []string
	for _, p := range []struct {
		name   string
		data   *Data
		width  int
		scheme string
	}{
		{"one-light", oneHost(), 1280, "light"},
		{"one-dark", oneHost(), 1280, "dark"},
		{"one-narrow", oneHost(), 400, "light"},
		{"fleet-light", fleet(), 1280, "light"},
		{"empty", &Data{Source: "/dev/null", Written: at(0), Version: "1.2.3"}, 1280, "light"},
	} {
		file := written(t, p.data)
		files = append(files, file)
		b.open(file, p.width, p.scheme)
		b.screenshot(filepath.Join(dir, p.name+".png"))
		var overflow bool
		if b.eval(`document.documentElement.scrollWidth > innerWidth`, &overflow); overflow {
			t.Errorf("%s: the page is wider than the window", p.name)
		}
		var objects, images []string
		b.eval(`Array.from(document.querySelectorAll("td.object > bdi"), e => e.textContent)`, &objects)
		var want []string
		for _, d := range p.data.Denials {
			want = append(want, d.Object)
		}
		if !slices.Equal(objects, want) {
			t.Errorf("%s: objects %q, want %q", p.name, objects, want)
		}
		if b.eval(`Array.from(document.querySelectorAll("img, iframe, link, script[src], [onerror], form"), e => e.outerHTML)`, &images); len(images) > 0 {
			t.Errorf("%s: %q", p.name, images)
		}
		for _, c := range p.data.Verdicts {
			var text string
			b.eval(fmt.Sprintf(`document.querySelector('dd[data-verdict="%s"]').textContent`, c.Class), &text)
			if digits := strings.ReplaceAll(text, "\u202f", ""); digits != fmt.Sprint(c.N) {
				t.Errorf("%s: %s is %q, want %d", p.name, c.Class, text, c.N)
			}
		}
	}
	b.open(files[0], 1280, "light")
	var got []string
	const shown = `Array.from(document.querySelectorAll("#table tbody tr:not([hidden])"), e => e.cells[1].textContent)`
	for _, step := range []struct {
		do   string
		want []string
	}{
		{`0`, []string{"15", "10", "15"}},
		{`document.querySelector("th[data-key=count] button").click()`, []string{"15", "15", "10"}},
		{`document.querySelector("th[data-key=count] button").click()`, []string{"10", "15", "15"}},
		{`search.value = "TOOL-1 build"; search.dispatchEvent(new Event("input"))`, []string{"10"}},
		{`search.value = "nothing like it"; search.dispatchEvent(new Event("input"))`, []string{}},
	} {
		b.eval(step.do+"; 0", nil)
		if b.eval(shown, &got); !slices.Equal(got, step.want) {
			t.Errorf("after %s: %q, want %q", step.do, got, step.want)
		}
	}
	if list := b.complaints(files...); len(list) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(list, "\n"))
	}
}

// TestABrowserComplainsOfAPageThatIsNotOurs is the proof that the test above
// would see a page that does more than it may.
func TestABrowserComplainsOfAPageThatIsNotOurs(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	d := oneHost()
	file := written(t, d)
	b.open(file, 1280, "light")
	b.eval(`const s = document.createElement("script"); s.textContent = "1"; document.body.append(s); const i = new Image(); i.src = "http://127.0.0.1:9/x"; document.body.append(i); new Promise(done => setTimeout(done, 100))`, nil)
	list := strings.Join(b.complaints(file), "\n")
	if !strings.Contains(list, "Content Security Policy") {
		t.Errorf("neither script nor image was refused: %q", list)
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]uint64{0: 2, 1: 2, 2: 2, 3: 4, 5: 10, 10: 10, 11: 20, 21: 40, 41: 100, 101: 200, 1e18 + 1: 2e18, 1<<64 - 1: 1<<64 - 1} {
		if got := ceiling(n); got != want {
			t.Errorf("ceiling(%d) = %d, want %d", n, got, want)
		}
	}
}
