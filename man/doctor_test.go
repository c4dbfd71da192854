package man

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/doctor"
)

func TestChecksOfDoctorStandInTheOrderOfAReport(t *testing.T) {
	t.Parallel()
	got := marked(read(t, doctorPage), "Cm", itemsIn("CHECKS"))
	if diff := cmp.Diff(doctor.Checks(), got); diff != "" {
		t.Errorf("checks (-program +page):\n%s", diff)
	}
}
