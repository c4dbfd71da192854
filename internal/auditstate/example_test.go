package auditstate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
)

func ExampleAsk() {
	st, err := auditstate.Ask(context.Background(), "/nonexistent/socket")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("no helper here")
	case err == nil:
		fmt.Println(st.Status.Lost, "records were lost")
	}
	// Output: no helper here
}
