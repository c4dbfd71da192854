package vm_test

var accesses []scenario
