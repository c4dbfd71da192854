package vm_test

var floods []scenario
