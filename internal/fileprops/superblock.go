package fileprops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// superBlock fills in what the name of the super block alone tells. The kernel
// calls it by its block device, or else by the type of file system (sget_fc and
// setup_bdev_super in fs/super.c).
func (m *Measurer) superBlock(r *Result, dev string) {
	f := &r.Facts
	f.BootVerified = policy.TruthOf(dev == "rootfs") // ipe_unpack_initramfs in security/ipe/hooks.c
	switch {
	case dev == "":
		f.BootVerified = policy.Unknown
		r.allWhy("the record does not tell the device")
	case dev == "overlay":
		// The kernel looks at the file below the overlay (d_real_inode).
		r.allWhy("the file lies in a layer below an overlay, and the record has the overlay's inode")
	case m.withoutDevice(dev):
		r.NoDevice = true
		f.DMVerityRootHash.Has, f.DMVeritySignature = policy.False, policy.False
		f.FSVerityDigest.Has, f.FSVeritySignature = policy.False, policy.False
	default:
		m.blockDevice(r, dev)
	}
}

// allWhy gives the reason for all that is not known.
func (r *Result) allWhy(why string) {
	for key := range r.why {
		r.why[key] = why
	}
}

// withoutDevice reports whether the name is that of a type of file system that
// has no block device. None of them knows fs-verity (Linux 7.3).
func (m *Measurer) withoutDevice(name string) bool {
	list, err := os.ReadFile(m.root + "/proc/filesystems")
	if err != nil {
		return name == "tmpfs" || name == "rootfs"
	}
	for line := range strings.Lines(string(list)) {
		if strings.TrimSpace(line) == "nodev\t"+name {
			return true
		}
	}
	return name == "rootfs" // which is on no list (init/do_mounts.c)
}

// blockDevice fills in what the block device tells.
func (m *Measurer) blockDevice(r *Result, name string) {
	unknown := func(why string) {
		r.why[policy.DMVerityRootHash], r.why[policy.DMVeritySignature] = why, why
	}
	name = strings.ReplaceAll(name, "/", "!") // as sysfs does
	dir := filepath.Join(m.root+"/sys/class/block", name)
	number, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err != nil {
		unknown("this host has no block device " + text.Name(name))
		return
	}
	if !m.exists("/sys/class/block/" + name + "/dm") {
		r.Facts.DMVerityRootHash.Has, r.Facts.DMVeritySignature = policy.False, policy.False
		return
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(number), "%d:%d", &major, &minor); err != nil {
		unknown(fmt.Sprintf("the device number of %s: %v", text.Name(name), err))
		return
	}
	target, parameters, err := m.table(unix.Mkdev(major, minor))
	switch {
	case errors.Is(err, fs.ErrPermission):
		unknown("the device-mapper table of " + text.Name(name) + " may not be read: that takes root in the initial namespaces (CAP_SYS_ADMIN)")
	case err != nil:
		unknown(fmt.Sprintf("the device-mapper table of %s: %v", text.Name(name), err))
	case target != "verity":
		r.Facts.DMVerityRootHash.Has, r.Facts.DMVeritySignature = policy.False, policy.False
	default:
		root, signed, err := parseVerity(parameters)
		if err != nil {
			unknown(fmt.Sprintf("the device-mapper table of %s: %v", text.Name(name), err))
			return
		}
		r.Facts.DMVerityRootHash = policy.DigestFact{Has: policy.True, Digest: root}
		r.Facts.DMVeritySignature = policy.TruthOf(signed)
	}
}

// superBlockOf returns what the kernel calls the super block of a file. process
// is a number, or "self".
func (m *Measurer) superBlockOf(st *unix.Statx_t, process string) (string, error) {
	if st.Dev_major != 0 {
		return m.deviceName(st.Dev_major, st.Dev_minor)
	}
	list, err := os.ReadFile(m.root + "/proc/" + process + "/mountinfo")
	if err != nil {
		return "", err
	}
	// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw (proc_pid_mountinfo(5))
	id := strconv.FormatUint(st.Mnt_id, 10) + " "
	for line := range strings.Lines(string(list)) {
		if !strings.HasPrefix(line, id) {
			continue
		}
		_, rest, _ := strings.Cut(line, " - ")
		words := strings.Fields(rest)
		if len(words) < 2 {
			break
		}
		// btrfs numbers its files by subvolume, but has a device.
		var source unix.Stat_t
		if !m.withoutDevice(words[0]) && unix.Stat(words[1], &source) == nil && source.Mode&unix.S_IFMT == unix.S_IFBLK {
			return m.deviceName(unix.Major(uint64(source.Rdev)), unix.Minor(uint64(source.Rdev)))
		}
		return words[0], nil
	}
	return "", errors.New("its mount is not in /proc/" + process + "/mountinfo")
}

// deviceName returns the kernel's name of a block device.
func (m *Measurer) deviceName(major, minor uint32) (string, error) {
	link, err := os.Readlink(fmt.Sprintf("%s/sys/dev/block/%d:%d", m.root, major, minor))
	return strings.ReplaceAll(filepath.Base(link), "!", "/"), err
}

func (m *Measurer) exists(name string) bool {
	_, err := os.Stat(m.root + name)
	return err == nil
}
