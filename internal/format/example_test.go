package format_test

import (
	"fmt"
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func ExampleAppendJSON() {
	ev := &ipe.Event{
		Kind: ipe.KindEnforcement, Dialect: ipe.DialectMainline, Type: 1404,
		Has:  ipe.HasStamp | ipe.HasAUID,
		Time: 1795440956605, Serial: 11,
		Enforcing: ipe.False, OldEnforcing: ipe.True, AUID: 1000,
	}
	var buf []byte // used again for each event
	buf = format.AppendJSON(buf[:0], ev, &format.Context{Identity: format.Identity{Spool: 0x4f3a9c21d06b7e58, Seq: 7}})
	os.Stdout.Write(buf)
	// Output:
	// {"spool":"4f3a9c21d06b7e58","seq":7,"time":"2026-11-23T13:35:56.605Z","serial":11,"type":1404,"event":"enforcement","dialect":"mainline","enforcing":false,"old_enforcing":true,"auid":1000}
}

func ExampleSyslog_RFC5424() {
	encode, err := format.Syslog{Facility: 13, SDID: "ipe@32473"}.RFC5424()
	if err != nil {
		fmt.Println(err)
		return
	}
	ev := &ipe.Event{
		Kind: ipe.KindForged, Has: ipe.HasStamp | ipe.HasCount,
		Time: 1795440956605, Count: 3, Accuracy: ipe.AccuracyExact,
	}
	fmt.Printf("%s\n", encode(nil, ev, &format.Context{Identity: format.Identity{Host: []byte("node7")}}))
	// Output:
	// <106>1 2026-11-23T13:35:56.605Z node7 ipe-auditd - forged [ipe@32473 time="2026-11-23T13:35:56.605Z" event="forged" count="3" accuracy="exact" host="node7"] FORGED 3 messages not from the kernel refused
}
