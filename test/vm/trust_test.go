package vm_test

var trust, silent []scenario
