package fairshare_test

import (
	"context"
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
)

func Example() {
	ctx := context.Background()
	pool := fairshare.NewPool(fairshare.Places(2), fairshare.Patience) // one of two processors

	task := pool.Task(fairshare.Sinks)
	defer task.Leave()
	records := []string{"audit(1795440701.000:1): ...", "audit(1795440701.000:2): ..."}
	for _, r := range records {
		if err := task.Enter(ctx); err != nil {
			return
		}
		line := fmt.Sprintf("%q", r) // decode, format
		if err := task.Spend(ctx, fairshare.Passed(len(r))+fairshare.Written(len(line))); err != nil {
			return
		}
	}
	task.Leave() // what follows may block
	fmt.Println(len(records), "records written")
	// Output: 2 records written
}
