package input

import (
	"io"
	"os"
)

// Live reports whether r may pause before it gives more, as a pipe or a
// terminal does and a plain file does not: then records are to be passed on one
// by one.
func Live(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err != nil || !info.Mode().IsRegular()
}
