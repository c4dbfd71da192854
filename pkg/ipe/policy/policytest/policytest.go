// Package policytest makes texts of policies, valid and not, to compare parsers
// with each other and with the kernel.
//
// [Traps] are texts that were thought of; [Texts] are made from the grammar by
// chance, the same ones for the same seed. Neither says which texts are valid:
// that is for two parsers to agree on. The texts belong to the caller.
package policytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Trap is a text about one thing.
type Trap struct {
	Name string // what it is about
	Text []byte
}

// Traps returns the texts that were thought of.
func Traps() []Trap {
	var traps []Trap
	add := func(name, text string) { traps = append(traps, Trap{name, []byte(text)}) }
	const (
		header  = "policy_name=p policy_version=1.0.0\n"
		deny    = "DEFAULT action=DENY\n"
		sha256  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		execute = "op=EXECUTE action=ALLOW\n"
	)

	// The whole text.
	add("blank", " \n\t\n")
	add("comment only", "# policy_name=p policy_version=1.0.0\n")
	add("header only", header)
	add("rules before the header", deny+header)
	add("smallest", header+deny)
	add("no line end", header+"DEFAULT action=DENY")
	add("carriage returns", strings.ReplaceAll(header+deny+execute, "\n", "\r"))
	add("DOS", strings.ReplaceAll(header+deny+execute, "\n", "\r\n"))
	add("NUL at the end", header+deny+"\x00")
	add("NUL hides an error", header+deny+"\x00nonsense\n")
	add("NUL in a word", header+"DEFAULT action=DENY\x00X\n")
	add("NUL before the default", header+"\x00"+deny)
	add("NUL first", "\x00"+header+deny)
	add("byte order mark", "\ufeff"+header+deny)
	add("very long line", header+deny+"op=EXECUTE fsverity_digest=sha256:"+strings.Repeat("00", 20000)+" action=ALLOW\n")
	add("very many properties", header+deny+"op=EXECUTE "+strings.Repeat("boot_verified=TRUE ", 2000)+"action=ALLOW\n")
	add("many rules", header+deny+strings.Repeat(execute, 1000))

	// Blanks and comments.
	add("blanks everywhere", " \t policy_name=p \t\t policy_version=1.0.0 \t\n \tDEFAULT \t action=DENY \t \n")
	add("comment behind everything", "policy_name=p policy_version=1.0.0# c\nDEFAULT action=DENY# c\n")
	add("comment in a word", header+deny+"op=EXECUTE action=ALLOW#DENY\n")
	add("comment before the action", header+deny+"op=EXECUTE # action=ALLOW\n")
	add("comment in the header", "policy_name=p # policy_version=1.0.0\n"+deny)
	add("backslash continues nothing", header+deny+"op=EXECUTE \\\naction=ALLOW\n")
	for _, c := range []byte{'\v', '\f', 0x1c, 0x85, 0xa0} {
		add(fmt.Sprintf("byte %#02x at a line's end", c), header+deny+"op=EXECUTE action=ALLOW"+string([]byte{c})+"\n")
		add(fmt.Sprintf("byte %#02x behind the version", c), "policy_name=p policy_version=1.0.0"+string([]byte{c})+"\n"+deny)
		add(fmt.Sprintf("byte %#02x at a line's beginning", c), header+deny+string([]byte{c})+"op=EXECUTE action=ALLOW\n")
		add(fmt.Sprintf("byte %#02x between words", c), header+deny+"op=EXECUTE"+string([]byte{c})+"action=ALLOW\n")
		add(fmt.Sprintf("line of byte %#02x", c), header+string([]byte{c})+"\n"+deny)
	}
	add("no-break space in UTF-8 at a line's end", header+deny+"op=EXECUTE action=ALLOW\u00a0\n")

	// The header.
	for _, h := range []string{
		"policy_name=p", "policy_version=1.0.0", "policy_version=1.0.0 policy_name=p", "policy_name= policy_version=1.0.0",
		"policy_name=p policy_version=", "policy_name=p policy_name=q policy_version=1.0.0", "policy_name=p policy_version=1.0.0 x",
		"policy_name=p policy_version=1.0.0 policy_version=1.0.0", "POLICY_NAME=p policy_version=1.0.0", "policy_name p policy_version=1.0.0",
		"policy_name=p,policy_version=1.0.0", "policy_name =p policy_version=1.0.0", "x policy_name=p policy_version=1.0.0",
		"policy_name=p=q policy_version=1.0.0", "policy_name=\"a b\" policy_version=1.0.0", "policy_name=%s policy_version=1.0.0",
		"policy_name=we\"ird policy_version=1.0.0", "policy_name=a\x01\x1b[31m policy_version=1.0.0", "policy_name=p\u00f6l policy_version=1.0.0",
		"policy_name=\xff\xfe policy_version=1.0.0", "policy_name=a/b policy_version=1.0.0", "policy_name=. policy_version=1.0.0",
		"policy_name=.. policy_version=1.0.0", "policy_name=... policy_version=1.0.0", "policy_name=/ policy_version=1.0.0",
	} {
		add("header "+h, h+"\n"+deny)
	}
	for _, n := range []int{254, 255, 256, 300, 5000} {
		add(fmt.Sprintf("name of %d bytes", n), "policy_name="+strings.Repeat("n", n)+" policy_version=1.0.0\n"+deny)
	}
	for _, v := range []string{
		"0.0.0", "65535.65535.65535", "65536.0.0", "0.65536.0", "0.0.65536", "1.0", "1", "1.0.0.0", "1.0.0.", ".1.0.0", "1..0", "...", "1.0.x", "1.0.0x",
		"x.65536.0", "65536.x.0", "1.65536", "1.0.0.65536", "1.0.0.x", "+1.0.0", "+1.+2.+3", "++1.0.0", "-1.0.0", "-0.0.0", "0x1.0.0", "01.002.0003",
		"1,0,0", "v1.0.0", "1.0.0-rc1", "99999999999999999999.0.0", "99999999999999999999x.0.0", "65536x.0.0", "18446744073709551615.0.0",
		"18446744073709551616.0.0", "18446744073709551616x.0.0", "18446744073709551615x.0.0", "00000000000000000000000000001.0.0", "+.0.0", "1.0.+",
	} {
		add("version "+v, "policy_name=p policy_version="+v+"\n"+deny)
	}

	// Defaults.
	ops := []string{"EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "POLICY", "X509_CERT"}
	all := ""
	for _, op := range ops {
		all += "DEFAULT op=" + op + " action=DENY\n"
	}
	add("a default for each", header+all)
	add("a default for each and all", header+all+deny)
	for _, op := range ops {
		line := "DEFAULT op=" + op + " action=DENY\n"
		add("no default for "+op, header+strings.Replace(all, line, "", 1))
		add("two defaults for "+op, header+all+line)
		add("two different defaults for "+op, header+deny+line+strings.Replace(line, "DENY", "ALLOW", 1))
	}
	for _, r := range []string{
		deny + "DEFAULT action=DENY", deny + "DEFAULT action=ALLOW", deny + "DEFAULT", deny + "DEFAULT op=EXECUTE", deny + "DEFAULT DENY",
		"default action=DENY", "DEFAULT action=deny", "DEFAULT Action=DENY", "DEFAULT action=DENY action=DENY", "DEFAULT DEFAULT action=DENY",
		deny + "DEFAULT op=EXECUTE boot_verified=TRUE action=ALLOW", "DEFAULT boot_verified=TRUE action=ALLOW", deny + "op=EXECUTE DEFAULT action=ALLOW",
		deny + "DEFAULT op=EXECUTE op=EXECUTE action=ALLOW", deny + "DEFAULT op=EXECUTE op=KMODULE action=ALLOW", deny + "DEFAULTop=EXECUTE action=ALLOW",
		deny + "DEFAULT op=EXECUTE fsverity_digest=sha256:x action=ALLOW", "DEFAULT\taction=DENY", "  DEFAULT action=DENY",
	} {
		add("default "+r, header+r+"\n")
	}

	// Rules.
	for _, op := range append(slices.Clone(ops), "UNKNOWN", "MODULE", "EXEC", "execute", "EXECUTE2", "X509", "", "%s") {
		add("operation "+op, header+deny+"op="+op+" boot_verified=TRUE action=ALLOW\n")
	}
	for _, r := range []string{
		"action=ALLOW", "op=EXECUTE", "op=EXECUTE boot_verified=TRUE", "action=ALLOW op=EXECUTE", "op=EXECUTE action=ALLOW boot_verified=TRUE",
		"boot_verified=TRUE op=EXECUTE action=ALLOW", "op=EXECUTE action=ALLOW action=ALLOW", "op=EXECUTE action=ALLOW op=KMODULE", "op=EXECUTE op=KMODULE action=ALLOW",
		"op=EXECUTE action=", "op=EXECUTE action=PERMIT", "op=EXECUTE action=ALLOW;", "op =EXECUTE action=ALLOW", "op= EXECUTE action=ALLOW", "OP=EXECUTE action=ALLOW",
		"EXECUTE action=ALLOW", "op=EXECUTE, action=ALLOW", "op=EXECUTE\taction=ALLOW", "op=EXECUTE boot_verified=TRUE boot_verified=TRUE action=ALLOW",
		"op=EXECUTE boot_verified=TRUE boot_verified=FALSE action=ALLOW", "op=EXECUTE path=/bin/true action=ALLOW", "op=EXECUTE policy_name=p action=ALLOW",
		"policy_name=p policy_version=1.0.0", "op=EXECUTE boot_verified action=ALLOW", "op=EXECUTE fsverity_digest=x action=PERMIT", "op=EXECUTE fsverity_digest=a:x action=PERMIT",
		"op=EXECUTE fsverity_digest=" + sha256, "op=EXECUTE =TRUE action=ALLOW", "op=EXECUTE = action=ALLOW", "op=EXECUTE \"boot_verified=TRUE\" action=ALLOW",
		"op=EXECUTE fsverity_digest=" + sha256 + " dmverity_roothash=" + sha256 + " boot_verified=FALSE dmverity_signature=TRUE fsverity_signature=FALSE action=DENY",
	} {
		add("rule "+r, header+deny+r+"\n")
	}
	for _, key := range []string{"boot_verified", "dmverity_signature", "fsverity_signature", "dmverity_roothash", "fsverity_digest", "fsverity_builtin_signature"} {
		for _, value := range []string{"TRUE", "FALSE", "true", "True", "1", "", "TRUE=TRUE", "TRUE,FALSE", "TRUEX", "sha256:00ff", sha256} {
			add("property "+key+"="+value, header+deny+"op=EXECUTE "+key+"="+value+" action=ALLOW\n")
		}
	}
	for _, d := range []string{
		"sha256:", ":", ":00", "sha256", "sha256:0", "sha256:000", "sha256:0g", "sha256:g0", "sha256:00FFaaBb", "sha256::00", "sha256:00:00", "SHA256:00", "nonsense:00",
		"\"sha256\":00", "a=b:00", "\xff:00", "sha256:\xff\xff", "sha256:0x00", "sha256:-1", "sha256:00\x0b00", "sha512:" + strings.Repeat("ab", 64), "sha1:" + strings.Repeat("0", 41), "%s:00",
	} {
		for _, key := range []string{"dmverity_roothash", "fsverity_digest"} {
			add("digest "+key+"="+d, header+deny+"op=EXECUTE "+key+"="+d+" action=ALLOW\n")
		}
	}
	return traps
}

// Texts returns n texts made by chance. About half of them are valid.
func Texts(seed uint64, n int) [][]byte {
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	texts := make([][]byte, n)
	for i := range texts {
		texts[i] = g.text()
	}
	return texts
}

type generator struct{ *rand.Rand }

// of returns one of the choices.
func (g generator) of(choices ...string) string { return choices[g.IntN(len(choices))] }

// rarely is true once in n times.
func (g generator) rarely(n int) bool { return g.IntN(n) == 0 }

func (g generator) text() []byte {
	var b strings.Builder
	end := g.of("\n", "\n", "\n", "\r\n", "\r")
	for g.rarely(6) {
		b.WriteString(g.of("", "# comment", "\t", " # x") + end)
	}
	b.WriteString("policy_name=" + g.name() + g.blank() + "policy_version=" + g.version() + end)
	var lines []string
	if !g.rarely(10) {
		lines = append(lines, "DEFAULT"+g.blank()+g.action())
	}
	for range g.IntN(6) {
		lines = append(lines, g.line())
	}
	g.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for _, line := range lines {
		b.WriteString(line + g.of("", "", "", " ", "\t", " # comment", "#") + end)
	}
	text := []byte(b.String())
	for g.rarely(4) {
		text = g.damage(text)
	}
	return text
}

func (g generator) line() string {
	switch g.IntN(12) {
	case 0:
		return g.of("", " ", "# comment", "\v")
	case 1:
		return "DEFAULT" + g.blank() + g.op() + g.blank() + g.action()
	}
	words := []string{g.op()}
	for range g.IntN(4) {
		words = append(words, g.property())
	}
	words = append(words, g.action())
	if g.rarely(15) {
		i, j := g.IntN(len(words)), g.IntN(len(words))
		words[i], words[j] = words[j], words[i]
	}
	return g.of("", "", " ", "\t") + strings.Join(words, g.blank())
}

func (g generator) blank() string { return g.of(" ", " ", " ", "\t", "  ", " \t ") }

func (g generator) name() string {
	return g.of("p", "lab", "Lab-1.0", "a\"b", "\u00e4", "x=y", "a:b") + strings.Repeat("n", g.IntN(3))
}

func (g generator) version() string {
	if g.rarely(12) {
		return g.of("1.2", "1.2.3.4", "1.2.70000", "1.2.3a", "+1.2.3", "1.2.", "007.0.0")
	}
	return fmt.Sprintf("%d.%d.%d", g.IntN(70), g.IntN(65536), g.IntN(3))
}

func (g generator) op() string {
	if g.rarely(25) {
		return g.of("op=EXEC", "op=", "OP=EXECUTE", "EXECUTE", "op=UNKNOWN")
	}
	return "op=" + g.of("EXECUTE", "EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "POLICY", "X509_CERT")
}

func (g generator) action() string {
	if g.rarely(25) {
		return g.of("action=allow", "action=", "action=AUDIT", "ALLOW")
	}
	return "action=" + g.of("ALLOW", "DENY")
}

func (g generator) property() string {
	if g.rarely(25) {
		return g.of("path=/bin", "boot_verified=true", "fsverity_digest=00", "dmverity_roothash=sha256:0", "fsverity_signature", "boot_verified=")
	}
	if g.rarely(2) {
		return g.of("boot_verified=", "dmverity_signature=", "fsverity_signature=") + g.of("TRUE", "FALSE")
	}
	var digits strings.Builder
	for range []int{0, 2, 40, 64, 64, 128}[g.IntN(6)] {
		digits.WriteByte("0123456789abcdefABCDEF"[g.IntN(22)])
	}
	return g.of("dmverity_roothash=", "fsverity_digest=") + g.of("sha256", "sha256", "sha512", "sha1", "", "x") + ":" + digits.String()
}

// damage changes one thing anywhere.
func (g generator) damage(text []byte) []byte {
	i := g.IntN(len(text))
	bytes := "\x00\t\n\v\f\r #%+-.:=\"\\aADx0\x7f\x85\xa0\xff"
	c := bytes[g.IntN(len(bytes))]
	switch g.IntN(4) {
	case 0:
		return slices.Delete(text, i, i+1)
	case 1:
		return slices.Insert(text, i, c)
	case 2:
		text[i] = c
		return text
	}
	j := min(i+g.IntN(20), len(text))
	return slices.Insert(text, j, text[i:j]...)
}
