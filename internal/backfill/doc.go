// Package backfill finds the records of IPE that the kernel made before anybody
// listened: in the initramfs, and until the audit socket was there.
//
// Without an auditd the kernel prints its audit records into its log, which is
// neither complete nor whole: 10 lines in 5 seconds, cut at 1,024 bytes
// (kauditd_printk_skb in kernel/audit.c, PRINTKRB_RECORD_MAX in
// kernel/printk/printk.c). [ReadKmsg] reads what is there. journald may have more,
// where the log was overwritten since: [ReadJournal].
//
// [Select] leaves of these what was made before the first record that the socket
// got. The kernel sends a record to the socket before it prints it, and both in one
// order, so everything behind the first line that the socket got, too, is the
// socket's: it got it, or has counted it as dropped. What is left is no proof of
// anything else: records are missing in it, also of switches of enforcement.
//
// It only reads, once in a boot; [Done] and [Mark] keep that in the state directory.
package backfill
