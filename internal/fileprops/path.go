package fileprops

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// MeasurePath measures the file that is at a path now, behind symbolic links, as the
// kernel would judge it. The error says why there is no such file.
func (m *Measurer) MeasurePath(path string) (Result, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Result{}, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return Result{}, err
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, real, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		return Result{}, fmt.Errorf("stat %s: %w", text.Name(path), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Result{}, fmt.Errorf("%s is no regular file", text.Name(path))
	}
	dev, err := m.superBlockOf(&st, "self")
	if err != nil {
		return Result{Reason: fmt.Sprintf("on which device %s is cannot be found out: %v", text.Name(path), err)}, nil
	}
	return m.Measure(Object{Path: real, Dev: dev, Ino: st.Ino}), nil
}

// Undecided says in printable words what is not known of the object, so that what p
// says of it depends on that: which rule may match, and why that cannot be said.
func (r *Result) Undecided(p *policy.Policy, op policy.Op, j *policy.Judgement) string {
	for _, i := range j.Maybe {
		rule := &p.Rules[i]
		if words := rule.Unknown(); len(words) > 0 {
			return fmt.Sprintf("line %d: %v", rule.Line, words[0])
		}
		for _, property := range rule.Properties {
			if why := r.Why(property.Key); property.Holds(&r.Facts) == policy.Unknown && why != "" {
				return fmt.Sprintf("whether it has the %v of line %d: %s", property.Key, rule.Line, why)
			}
		}
	}
	if j.Rule < 0 && !op.Known() {
		return policy.UnknownOp(op).String()
	}
	return r.Reason
}
