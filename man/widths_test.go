package man

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestPagesEndAtEveryWidth formats each page as man(1) does on terminals of 30 to
// 100 columns. groff 1.22 shortens the title at the head of a page in a loop that
// does not end where the name of the volume alone fills the line (doc-header in
// mdoc/doc-common).
func TestPagesEndAtEveryWidth(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skipf("the pages are formatted by groff, which is not installed: %v", err)
	}
	if out, err := exec.Command("groff", "-z", "-mdoc", "-Tutf8", commandsPage).CombinedOutput(); err != nil {
		t.Skipf("groff cannot format manual pages here, as without the package groff: %v: %.200s", err, out)
	}
	pages, err := filepath.Glob("*.[1-8]")
	if err != nil || len(pages) < 3 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	const limit = time.Minute // a page takes a tenth of a second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type job struct {
		page  string
		width int
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				ctx, cancel := context.WithTimeout(ctx, limit)
				length := fmt.Sprintf("%dn", j.width)
				out, err := exec.CommandContext(ctx, "groff", "-z", "-mdoc", "-Tutf8", "-rLL="+length, "-rLT="+length, j.page).CombinedOutput()
				if err != nil {
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
	// man(1) leaves two columns free.
	for width := 30 - 2; width <= 100; width += step {
		for _, page := range pages {
			if t.Failed() {
				break
			}
			jobs <- job{page, width}
		}
	}
	close(jobs)
	workers.Wait()
}
