package man

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPagesEndAtEveryWidth formats the head of each page as man(1) does on
// terminals of 30 to 100 columns, and the whole page on three of them. groff 1.22
// shortens the title at the head of a page in a loop that does not end where the
// name of the volume alone fills the line (doc-header in mdoc/doc-common).
func TestPagesEndAtEveryWidth(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skipf("the pages are formatted by groff, which is not installed: %v", err)
	}
	if out, err := exec.Command("groff", "-z", "-mdoc", "-Tutf8", daemonPage).CombinedOutput(); err != nil {
		t.Skipf("groff cannot format manual pages here, as without the package groff: %v: %.200s", err, out)
	}
	const limit = time.Minute // a run takes a tenth of a second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type job struct {
		page, text string
		width      int
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				ctx, cancel := context.WithTimeout(ctx, limit)
				length := fmt.Sprintf("%dn", j.width)
				groff := exec.CommandContext(ctx, "groff", "-z", "-mdoc", "-Tutf8", "-rLL="+length, "-rLT="+length)
				groff.Stdin = strings.NewReader(j.text)
				if out, err := groff.CombinedOutput(); err != nil {
					t.Errorf("%s at %d columns: %v (%v): %.200s", j.page, j.width, err, ctx.Err(), out)
				}
				cancel()
			}
		})
	}
	step := 1
	if testing.Short() {
		step = 8
	}
	var heads strings.Builder
	for _, page := range pages(t) {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		head, _, _ := strings.Cut(text, "\n.Sh SYNOPSIS")
		head, _, _ = strings.Cut(head, "\n.Sh DESCRIPTION")
		heads.WriteString(head + "\n")
		for _, width := range []int{28, 60, 100} {
			jobs <- job{page, text, width}
		}
	}
	// man(1) leaves two columns free.
	for width := 30 - 2; width <= 100 && !t.Failed(); width += step {
		jobs <- job{"the heads of all pages", heads.String(), width}
	}
	close(jobs)
	workers.Wait()
}
