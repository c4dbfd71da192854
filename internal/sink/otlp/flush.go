package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// flush is one Flush under way.
type flush struct {
	sink   *Sink
	client *client

	doubt   bool      // the receiver has refused records of the batch
	taken   bool      // and has taken others since
	refused []refused // by themselves, and not given up yet

	lost []sink.Refused // what is to be told
}

// refused is a record that was refused by itself.
type refused struct {
	record record
	answer *answer
}

// all sends the records.
func (f *flush) all(ctx context.Context, records []record) error {
	for len(records) > 0 {
		n := min(len(records), f.sink.options.Batch)
		if err := f.send(ctx, records[:n]); err != nil {
			return err
		}
		records = records[n:]
		if err := f.giveUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// send sends the records in one request, and in halves if the receiver refuses that.
func (f *flush) send(ctx context.Context, records []record) error {
	s := f.sink
	s.request = s.batch.appendRequest(s.request[:0], records)
	a, err := f.post(ctx, s.request)
	if err != nil {
		return err
	}
	switch {
	case a.success():
		f.taken = true
		f.partly(records, a)
		return nil
	case !refuses(a.code):
		s.notBefore = time.Now().Add(a.retryAfter)
		return errors.New(a.String() + advice(a.code))
	}
	if !f.doubt {
		f.doubt, f.taken = true, false
	}
	if len(records) == 1 {
		f.refused = append(f.refused, refused{records[0], a})
		return nil
	}
	half := len(records) / 2
	if err := f.send(ctx, records[:half]); err != nil {
		return err
	}
	return f.send(ctx, records[half:])
}

// post sends one request within the time that it may take.
func (f *flush) post(ctx context.Context, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, f.sink.options.Timeout)
	defer cancel()
	return f.client.post(ctx, body)
}

// refuses reports whether a code says that something is wrong with what was sent, and
// not with who sends it, where to, or when.
func refuses(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return code/100 == 4
}

// advice says what to do about a code.
func advice(code int) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return " (see what headers_file says, and cert)"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return " (see whether the path of endpoint is right)"
	}
	return ""
}

// partly counts what the receiver did not take of a request that it answered with
// success.
func (f *flush) partly(records []record, a *answer) {
	n := min(a.rejected, uint64(len(records)))
	if n == 0 {
		return
	}
	r := sink.Refused{Kind: ipe.KindLost, Stage: ipe.StageSink, Count: n, Reason: "it took only part of a request: " + a.message}
	for i := range records {
		if !records[i].tellsOfThis() {
			r.Kind, r.Stage = ipe.KindUnparsed, "" // of one of them, nobody knows which
		}
	}
	if len(records) == 1 {
		r.Kind, r.Stage, r.Cursor = records[0].kind, records[0].stage, records[0].cursor
	}
	f.lost = append(f.lost, r)
}

// giveUp gives up what was refused, if the receiver takes anything at all.
func (f *flush) giveUp(ctx context.Context) error {
	if len(f.refused) == 0 {
		f.doubt = false
		return nil
	}
	if !f.taken {
		a, err := f.post(ctx, nil) // a request without records
		if err != nil {
			return err
		}
		if !a.success() {
			last := f.refused[len(f.refused)-1].answer
			return fmt.Errorf("%v, and a request without events is refused as well, so it is not the events that are wrong%s", last, advice(last.code))
		}
	}
	for i := range f.refused {
		r := &f.refused[i]
		f.lost = append(f.lost, sink.Refused{
			Kind: r.record.kind, Stage: r.record.stage, Cursor: r.record.cursor, Reason: "it answers " + r.answer.String(),
		})
	}
	f.doubt, f.refused = false, f.refused[:0]
	return nil
}

// tell counts and tells what was given up.
func (f *flush) tell() {
	for _, r := range f.lost {
		f.sink.rejected.Add(max(r.Count, 1))
		if f.sink.options.Refused != nil {
			f.sink.options.Refused(r)
		}
	}
}
