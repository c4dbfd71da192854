package suggest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Proposal is the narrowest rule for an object, or why there is none.
type Proposal struct {
	Rule policy.Rule
	OK   bool // there is a rule

	Reason string // without a rule: why
	Remedy string // without a rule: what would help
}

// Propose returns the narrowest rule that allows the object for the operation.
// With signature, that it is signed is taken before what it is.
func Propose(d *Denial, r *fileprops.Result, signature bool) Proposal {
	op, mayBe := policy.ParseOp(d.Op)
	if !mayBe || op == policy.OpNone {
		return Proposal{
			Reason: "no rule can name the operation " + text.Name(d.Op),
			Remedy: "only the DEFAULT for all operations decides it",
		}
	}
	property, ok := narrowest(r, signature)
	if unknown := policy.UnknownOp(op); ok && !op.Known() && !d.Named && unknown.Origin == "" {
		return Proposal{
			Reason: unknown.String(),
			Remedy: fmt.Sprintf("if rules of this kernel name it, write by hand: op=%v %v action=ALLOW", op, property),
		}
	}
	if ok {
		return Proposal{OK: true, Rule: policy.Rule{Op: op, Properties: []policy.Property{property}, Action: policy.Allow}}
	}
	reason, remedy := hopeless(d, r)
	return Proposal{Reason: reason, Remedy: remedy}
}

// narrowest returns the property that the fewest other objects have.
func narrowest(r *fileprops.Result, signature bool) (policy.Property, bool) {
	f := &r.Facts
	switch {
	case r.State != fileprops.StateMeasured:
		// What is known then comes from a device of the same name.
	case signature && f.FSVeritySignature == policy.True:
		return policy.Property{Key: policy.FSVeritySignature, Value: true}, true
	case signature && f.DMVeritySignature == policy.True:
		return policy.Property{Key: policy.DMVeritySignature, Value: true}, true
	case f.FSVerityDigest.Has == policy.True:
		return policy.Property{Key: policy.FSVerityDigest, Digest: f.FSVerityDigest.Digest}, true
	case f.DMVerityRootHash.Has == policy.True:
		return policy.Property{Key: policy.DMVerityRootHash, Digest: f.DMVerityRootHash.Digest}, true
	}
	return policy.Property{}, false
}

// hopeless says why no rule can allow the object, and what would help.
func hopeless(d *Denial, r *fileprops.Result) (reason, remedy string) {
	o := &d.Object
	if r.State == fileprops.StateNoFile {
		return withoutFile(d)
	}
	if r.Facts.BootVerified == policy.True {
		return "it is in the initramfs, and boot_verified=TRUE, the only property that it has, would allow all of that",
			"if all of the initramfs is meant, write the rule by hand"
	}
	if r.NoDevice {
		return fmt.Sprintf("%s has neither fs-verity nor dm-verity, so no property ever holds", text.Name(o.Dev)),
			"move the file to a file system with fs-verity (ext4, f2fs, btrfs), or to a dm-verity volume"
	}
	switch r.State {
	case fileprops.StateMeasured:
		return withoutVerity(o, r)
	case fileprops.StateGone:
		return r.Reason, "if it was in a container or chroot, run suggest while the process runs; else let it be denied once more while the file is there"
	case fileprops.StateDeleted:
		return r.Reason, "keep the file under a name while it runs: one that is deleted cannot be measured from outside"
	case fileprops.StateOther:
		return r.Reason, "if the path is one inside a container or chroot, run suggest while the process runs; else let the file that is there now be denied once"
	case fileprops.StateChanged:
		return r.Reason, "let the file as it is now be denied once, then run suggest again"
	case fileprops.StateOverlay:
		return r.Reason, "seal the file in its layer (fsverity enable) and name the digest of that, or the root hash of the layer's dm-verity volume: the kernel looks through the overlay"
	case fileprops.StateUnreadable:
		return r.Reason, unreadable(r.Err, os.Geteuid() == 0)
	}
	return r.Reason, "only who runs it can tell which file it was"
}

// unreadable says what would help against the error with which a file could not
// be looked at.
func unreadable(err error, root bool) string {
	switch denied := errors.Is(err, fs.ErrPermission); {
	case denied && !root:
		return "run suggest as root"
	case denied:
		return "root may not look at it from here either: run suggest where no security module, container or file system of another user (FUSE, NFS) forbids it"
	case errors.Is(err, syscall.ENAMETOOLONG):
		return "reach the file by a shorter path: no system call takes one of more than 4095 bytes, or a name of more than 255"
	case errors.Is(err, syscall.ELOOP):
		return "reach the file by a path with fewer symbolic links"
	case errors.Is(err, syscall.ENOKEY), errors.Is(err, syscall.EKEYREJECTED), errors.Is(err, syscall.EBADMSG):
		return "the kernel cannot verify the file's signature: add the key to the keyring .fs-verity, or sign and seal the file again"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return "run suggest again when the system has room for it"
	case errors.Is(err, fs.ErrNotExist):
		return "see that /proc and /sys are mounted, then run suggest again"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.ENOTCONN), errors.Is(err, syscall.ETIMEDOUT):
		return "the file system itself fails: see that it works, then run suggest again"
	}
	return "see that the file can be opened, then run suggest again"
}

// withoutFile says it of what was never in a file.
func withoutFile(d *Denial) (reason, remedy string) {
	if !d.Object.Data {
		return "anonymous memory has none of the properties that a rule can ask for",
			"run the program without code that it makes itself (a JIT compiler), or keep that code in a file that a rule can name"
	}
	reason = "the data came without a file, so no property holds"
	switch d.Op {
	case "KMODULE":
		remedy = "load the module from its file, with finit_module(2)"
	case "KEXEC_IMAGE", "KEXEC_INITRAMFS":
		remedy = "load the kernel from its file, with kexec_file_load(2): kexec --kexec-file-syscall"
	case "FIRMWARE":
		remedy = "keep the firmware where the kernel itself finds the file, instead of handing it over through sysfs"
	default:
		remedy = "have the kernel read it from a file that a rule can name"
	}
	return reason, remedy
}

// withoutVerity says it of a file that is there and has nothing to name it by.
func withoutVerity(o *fileprops.Object, r *fileprops.Result) (reason, remedy string) {
	var unknown []string
	for _, key := range []policy.Key{policy.FSVerityDigest, policy.DMVerityRootHash} {
		if why := r.Why(key); why != "" {
			unknown = append(unknown, fmt.Sprintf("its %v is not known: %s", key, why))
		}
	}
	reason = "it has no fs-verity digest and is not on a dm-verity volume"
	if len(unknown) > 0 {
		reason = strings.Join(unknown, "; ")
	}
	first := ""
	if r.Verity == fileprops.VerityUnsupported {
		first = fmt.Sprintf("switch on fs-verity for the file system on %s (ext4: tune2fs -O verity), ", text.Name(o.Dev))
	}
	return reason, first + "run suggest again after: fsverity enable " + text.Argument(r.Path)
}

// Obstacle returns the rule of an operation that denies an object, or may, and
// before which one that allows it has to stand; nil if that is the default,
// which comes after all others wherever it stands.
func Obstacle(p *policy.Policy, j policy.Judgement) *policy.Rule {
	for _, i := range append(slices.Clone(j.Maybe), j.Rule) {
		if i < 0 {
			continue
		}
		if r := &p.Rules[i]; r.Action == policy.Deny && !r.Default {
			return r
		}
	}
	return nil
}
