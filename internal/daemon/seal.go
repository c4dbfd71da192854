package daemon

import (
	"context"
	"os"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
)

// sealFile keeps the tree of the checkpoints, in the state directory.
const sealFile = "seal.json"

// openSealer prepares checkpoints, where the configuration wants some. A key that
// cannot be used ends the start: whoever asked for them relies on them.
func (d *daemon) openSealer() error {
	cfg := d.Config.Seal
	if cfg.Key == "" {
		return nil
	}
	signer, err := seal.ReadSigner(cfg.Key, os.Geteuid())
	if err != nil {
		return err
	}
	o := seal.Options{
		Signer: signer, Every: cfg.Every, Interval: cfg.Interval, File: d.dir(sealFile),
		Policy: d.policies.Policy, Host: d.hostname.Bytes, Emit: d.emitter.emit,
		Task: d.share.Task(fairshare.Sinks),
	}
	if d.who != nil {
		o.Join, o.Expect = d.Config.Source.Join, d.who
	}
	d.sealer = seal.New(d.spool, o)
	return nil
}

// startSealing seals what an input brings. The function that it returns seals the
// last of it.
func (d *daemon) startSealing() (end func()) {
	if d.sealer == nil {
		return func() {}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.sealer.Run(ctx)
	}()
	return func() {
		stop()
		<-done
		d.closeSealer()
	}
}

// closeSealer signs for the last events.
func (d *daemon) closeSealer() {
	if d.sealer == nil {
		return
	}
	d.sealer.Finish()
	if err := d.sealer.Close(); err != nil {
		d.log.Error("the tree of the checkpoints could not be kept, so the next ones may contradict those of today", zap.Error(err))
	}
}
