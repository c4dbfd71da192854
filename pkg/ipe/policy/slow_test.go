package policy_test

import (
	"math/big"
	"regexp"
	"strings"
	"syscall"
)

const (
	slowOp        = `op=(EXECUTE|FIRMWARE|KMODULE|KEXEC_IMAGE|KEXEC_INITRAMFS|POLICY|X509_CERT) `
	slowTruth     = `(?:boot_verified|dmverity_signature|fsverity_signature)=(?:TRUE|FALSE) `
	slowDigestKey = `(?:dmverity_roothash|fsverity_digest)=[^: ]*:`
	slowGood      = `(?:` + slowTruth + `|` + slowDigestKey + `(?:[0-9a-fA-F]{2})* )*`
)

// All of them see one rune for each byte, and rules with single blanks.
var (
	slowLineEnd  = regexp.MustCompile(`[\n\r]`)
	slowComment  = regexp.MustCompile(`#.*$`)
	slowTrailing = regexp.MustCompile(`[\t\n\v\f\r \x{a0}]+$`)
	slowHead     = regexp.MustCompile(`^policy_name=[^ ]+ policy_version=([^ ]+)( .*)?$`)
	slowNumber   = regexp.MustCompile(`^\+?([0-9]+)(.*)$`)
	slowDefault  = regexp.MustCompile(`^DEFAULT (?:` + slowOp + `)?action=(?:ALLOW|DENY)$`)
	slowPlain    = regexp.MustCompile(`^` + slowOp + slowGood + `action=(?:ALLOW|DENY)$`)
	slowDigest   = regexp.MustCompile(`^(?:DEFAULT )?` + slowOp + slowGood + slowDigestKey + `([^ ]*) `)
	slowHex      = regexp.MustCompile(`^(?:[0-9a-fA-F]{2})*$`)
)

// slowVerdict is a second parser: what the kernel's source says, written down as
// regular expressions. It returns the error number only.
func slowVerdict(text []byte) syscall.Errno {
	var latin1 strings.Builder // a rune for each byte
	for _, c := range text {
		latin1.WriteRune(rune(c))
	}
	whole, _, _ := strings.Cut(latin1.String(), "\x00")
	seen := map[string]bool{}
	header := false
	for _, line := range slowLineEnd.Split(whole, -1) {
		line = slowTrailing.ReplaceAllString(slowComment.ReplaceAllString(line, ""), "")
		line = strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
		if line == "" {
			continue
		}
		var errno syscall.Errno
		if header {
			errno = slowRule(line, seen)
		} else {
			header = true
			errno = slowHeader(line)
		}
		if errno != 0 {
			return errno
		}
	}
	defaults := len(seen)
	if !header || !seen[""] && defaults < 7 {
		return syscall.EBADMSG
	}
	return 0
}

func slowHeader(line string) syscall.Errno {
	m := slowHead.FindStringSubmatch(line)
	if m == nil {
		return syscall.EBADMSG
	}
	parts := strings.Split(m[1], ".")
	for i, part := range parts {
		if i == 3 {
			return syscall.EBADMSG
		}
		number := slowNumber.FindStringSubmatch(part)
		if number == nil {
			return syscall.EINVAL
		}
		n, _ := new(big.Int).SetString(number[1], 10)
		switch {
		case n.BitLen() > 64:
			return syscall.ERANGE
		case number[2] != "":
			return syscall.EINVAL
		case n.BitLen() > 16:
			return syscall.ERANGE
		}
	}
	if len(parts) < 3 || m[2] != "" {
		return syscall.EBADMSG
	}
	return 0
}

func slowRule(line string, seen map[string]bool) syscall.Errno {
	bad := slowDigest.FindStringSubmatch(line)
	if bad != nil && !slowHex.MatchString(bad[2]) {
		return syscall.EINVAL
	}
	if m := slowDefault.FindStringSubmatch(line); m != nil {
		if seen[m[1]] {
			return syscall.EBADMSG
		}
		seen[m[1]] = true
		return 0
	}
	if !slowPlain.MatchString(line) {
		return syscall.EBADMSG
	}
	return 0
}
