package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/explain"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/htmlreport"
	"github.com/ipe-auditd/ipe-auditd/internal/report"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// htmlFile is where a page goes: a file, or standard output for "-". It is opened
// before anything is read, which may take long, and keeps what it has until
// there is a page.
type htmlFile struct {
	name string
	out  io.Writer
	file *os.File // nil for standard output
}

func openHTML(name string, stdout io.Writer) (*htmlFile, error) {
	if name == "-" {
		return &htmlFile{name, stdout, nil}, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("--html: %w", err)
	}
	return &htmlFile{name, f, f}, nil
}

// write replaces what is in the file by the page of a report.
func (h *htmlFile) write(r *report.Report, p *text.Page, elsewhere string) error {
	d := r.Page(p, denialExplainer(elsewhere))
	d.Written, d.Version = time.Now(), daemonVersion()
	if h.file != nil {
		// A device or a pipe has no length, and needs none.
		if st, err := h.file.Stat(); err == nil && st.Mode().IsRegular() {
			if err := h.file.Truncate(0); err != nil {
				return fmt.Errorf("--html: %w", err)
			}
		}
	}
	w := bufio.NewWriter(h.out)
	err := errors.Join(htmlreport.Write(w, d, p.Zone), w.Flush())
	if h.file != nil {
		err = errors.Join(err, h.file.Close())
	}
	if err != nil {
		return fmt.Errorf("--html %s: %w", h.name, err)
	}
	return nil
}

// denialExplainer explains denials in few words. Where elsewhere says why nothing
// of their host can be known here, objects are not measured.
func denialExplainer(elsewhere string) func(*ipe.Event) report.Explained {
	e := explain.Explainer{Measure: fileprops.New().Measure, Securityfs: &host.Securityfs{Root: "/sys"}}
	if elsewhere != "" {
		e = e.Unmeasured(elsewhere)
	}
	return func(ev *ipe.Event) report.Explained {
		x := e.Explain(ev)
		out := report.Explained{Why: x.Summary}
		if x.Rule != nil {
			out.Why = append(out.Why, "Rule: "+x.Rule.Text+". "+sentence(x.Rule.Why))
		}
		if x.Policy != nil && x.Policy.Note != "" {
			out.Why = append(out.Why, sentence(x.Policy.Note))
		}
		if a := x.Allow; a != nil {
			out.Allow = a.Rule
			for _, part := range []string{a.Where, a.Reason, a.Remedy} {
				if part != "" {
					out.Note = strings.TrimSpace(out.Note + " " + sentence(part))
				}
			}
		}
		return out
	}
}

// sentence makes a sentence of a clause.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// otherHosts says why nothing can be known here of the hosts that the events
// come from; empty if they are of this one.
func otherHosts(hosts []*eventsource.Host) string {
	if len(hosts) > 1 {
		return "the events are of several hosts"
	}
	here := host.Name()
	for _, h := range hosts {
		if h.Name != nil && here != "" && string(h.Name) != here {
			return "it was on another host, " + text.Host(h.Name)
		}
	}
	return ""
}
