package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalsAtOneMomentAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		second := make(chan bool, 1)
		go func() { second <- secondSignal(signals) }()
		synctest.Wait()
		signals <- syscall.SIGTERM // what timeout(1) sends to the process group
		synctest.Wait()
		if len(second) > 0 {
			t.Fatal("the signal to the process group counts as a second one")
		}
		time.Sleep(oneSignal)
		signals <- syscall.SIGTERM
		if !<-second {
			t.Error("a second signal does not count")
		}
	})
}

func TestWithoutASecondSignalNothingIsEndedAtOnce(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	close(signals)
	if secondSignal(signals) {
		t.Error("there was none")
	}
}
