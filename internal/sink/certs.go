package sink

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/probe"
)

// CheckCertificate looks at whether the keys cert and key are there together.
func (s *Section) CheckCertificate() {
	switch cert, key := s.Given["cert"], s.Given["key"]; {
	case cert != nil && key == nil:
		s.Errorf(cert, "%s.cert needs its key; add key: FILE", s.Name)
	case key != nil && cert == nil:
		s.Errorf(key, "%s.key needs its certificate; add cert: FILE", s.Name)
	}
}

// MayRead reports whether the user of the service may read files, of which those
// with an empty name are none; if not, or if that cannot be told, found says so.
func (h *Host) MayRead(what string, files ...string) (found probe.Finding, ok bool) {
	for _, file := range files {
		if file == "" {
			continue
		}
		switch err := h.User.May(unix.R_OK, file); {
		case errors.Is(err, probe.ErrOtherUser):
			return probe.CannotTell("whether the service may read "+file, "root", nil), false
		case err != nil:
			return probe.Bad("let the user of the service read it", "%v may not read %s: %v", h.User, what, err), false
		}
	}
	return probe.Finding{}, true
}
