package auditrec_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

func Example() {
	stamp, body, _ := auditrec.CutStamp([]byte(`audit(1795440103.669:11): pid=7 comm="sh" path=2F612062`))
	fmt.Println(stamp.Time, stamp.Serial)
	for {
		key, rest, ok := auditrec.CutKey(body)
		if !ok {
			break // the end of the text, or a word that is no field
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			break // a quote that never ends
		}
		text := v.Text()
		if string(key) == "path" && !v.Quoted() {
			text, _ = auditrec.AppendHex(nil, v)
		}
		fmt.Printf("%s: %s\n", key, text)
		body = rest
	}
	// Output:
	// 1795440103669 11
	// pid: 7
	// comm: sh
	// path: /a b
}
