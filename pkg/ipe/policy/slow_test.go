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
// regular expressions. It returns the error number only. Lenient, each word that
// may be of another kernel is taken for one that is known.
func slowVerdict(text []byte, lenient bool) syscall.Errno {
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
			errno = slowRule(line, seen, lenient)
		} else {
			header = true
			errno = slowHeader(line)
		}
		if errno != 0 {
			return errno
		}
	}
	if !header {
		return syscall.EBADMSG
	}
	for _, op := range strings.Fields("EXECUTE FIRMWARE KMODULE KEXEC_IMAGE KEXEC_INITRAMFS POLICY X509_CERT") {
		if !seen[""] && !seen[op] && (op == "EXECUTE" || !seen["KERNEL_READ"]) {
			return syscall.EBADMSG
		}
	}
	return 0
}

var (
	slowNewOp    = regexp.MustCompile(`^op=([A-Z][A-Z0-9_]{0,63})$`)
	slowNewProp  = regexp.MustCompile(`^([a-z][a-z0-9_]{0,63})=[^ ]+$`)
	slowReserved = regexp.MustCompile(`^(op|action|policy_name|policy_version|boot_verified|dmverity_roothash|dmverity_signature|fsverity_digest|fsverity_signature)$`)
)

// slowKnown puts words that are known in place of those that may be of another
// kernel. A default keeps its operation.
func slowKnown(line string) (known, op string) {
	words := strings.Split(line, " ")
	for i, word := range words {
		if m := slowNewOp.FindStringSubmatch(word); m != nil && m[1] != "UNKNOWN" {
			words[i], op = "op=EXECUTE", m[1]
		} else if m := slowNewProp.FindStringSubmatch(word); m != nil && !slowReserved.MatchString(m[1]) {
			words[i] = "boot_verified=TRUE"
		}
	}
	return strings.Join(words, " "), op
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

func slowRule(line string, seen map[string]bool, lenient bool) syscall.Errno {
	op := ""
	if lenient {
		line, op = slowKnown(line)
	}
	bad := slowDigest.FindStringSubmatch(line)
	if bad != nil && !slowHex.MatchString(bad[2]) {
		return syscall.EINVAL
	}
	if m := slowDefault.FindStringSubmatch(line); m != nil {
		if !lenient {
			op = m[1]
		}
		if seen[op] {
			return syscall.EBADMSG
		}
		seen[op] = true
		return 0
	}
	if !slowPlain.MatchString(line) {
		return syscall.EBADMSG
	}
	return 0
}
