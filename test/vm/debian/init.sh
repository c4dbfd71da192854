#!/bin/busybox sh
# The first program of the full guest. It puts Debian's root file system
# together of two disks, lets IPE enforce, and becomes systemd.
#
# Debian is on a disk sealed by dm-verity, and what is written goes to another
# one above it. So IPE knows a file of Debian by the root hash, and a file that
# was written since by nothing. When this script fails, so does the kernel.
set -eu
PATH=/bin:/busybox
export PATH
/bin/busybox mkdir /busybox
/bin/busybox --install -s /busybox

# try ACTION... fails when the system call that the action is about fails.
try() {
	result=$(act "$@")
	[ "$result" = '{}' ] || { echo "init: $*: $result" >&2; exit 1; }
}

# disk SERIAL prints the device.
disk() {
	for d in /sys/block/*; do
		[ ! -e "$d/device/serial" ] || [ "$(tr -d ' ' <"$d/device/serial")" != "$1" ] || echo "/dev/${d##*/}"
	done
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t securityfs securityfs /sys/kernel/security

for module in reed_solomon dax dm-mod dm-bufio dm-verity overlay loop; do
	[ ! -e "/boot/$module.ko" ] || try finit "/boot/$module.ko"
done

# The kernel's command line sets these.
# shellcheck disable=SC2154
try dm-verity sealed "$(disk sealed)" "$vm_blocks" "$vm_root"
mkdir /sealed /state /system
mount -t ext4 -o ro /dev/dm-0 /sealed
mount -t ext4 "$(disk state)" /state
mount -t overlay -o lowerdir=/sealed,upperdir=/state/upper,workdir=/state/work overlay /system

# The test's own programs are of the initramfs, which IPE knows as well.
mount --bind /bin /system/opt/vm/bin
mount --bind /state /system/opt/vm/state

ipe=/sys/kernel/security/ipe
try write $ipe/new_policy </root/policy
echo 1 >$ipe/policies/guest/active

mount --move /dev /system/dev
mount --move /sys /system/sys
mount --move /proc /system/proc
cd /system
mount --move . /
exec chroot . /usr/lib/systemd/systemd
