package format

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxVariable is the length from which on a value is left out: Linux refuses
// to start a program with a variable of 128 KiB (MAX_ARG_STRLEN,
// include/uapi/linux/binfmts.h), a NUL grows to three bytes, and no event may
// make delivery impossible.
const maxVariable = 32 << 10

// AppendEnv appends a variable for each key of ev to env, which has the form
// of [os.Environ], and returns it. The name is the key in upper case with IPE_
// before it (ipe_op is IPE_OP, path IPE_PATH).
//
// Values are as in JSON, without quotes: a boolean is true or false. Strings
// are the bytes of the kernel, so there is no KEY_hex; but a NUL, which no
// variable can hold, becomes U+FFFD, and a value longer than 32 KiB is left
// out. A list is joined by blanks, extra keys are joined as key=value. Whoever
// needs every byte of every event reads JSON. AppendEnv allocates.
func AppendEnv(env []string, ev *ipe.Event, c *Context) []string {
	all := appendEnvKeys(nil, ev, c)
	for variable := range bytes.SplitSeq(bytes.TrimSuffix(all, []byte{0}), []byte{0}) {
		env = append(env, string(variable))
	}
	return env
}

// envText appends a value behind NAME=, whose length is given, and a NUL. It takes
// the name away again if the value is too long.
func envText(dst []byte, name int, b []byte) []byte {
	if len(b) > maxVariable {
		return dst[:len(dst)-name]
	}
	for {
		n := bytes.IndexByte(b, 0)
		if n < 0 {
			return append(append(dst, b...), 0)
		}
		dst = append(append(dst, b[:n]...), "\uFFFD"...)
		b = b[n+1:]
	}
}

func envList(dst []byte, name int, list [][]byte) []byte {
	return envText(dst, name, appendJoined(nil, list))
}

func envExtra(dst []byte, name int, extra []ipe.KeyValue) []byte {
	return envText(dst, name, appendJoinedExtra(nil, extra))
}
