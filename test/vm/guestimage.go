package vm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is the path of this module; go build takes it in any directory of it.
const module = "github.com/ipe-auditd/ipe-auditd/"

// Build builds what the guest runs, in dir. It returns the files by their
// absolute names in the guest. A daemon that is given is taken instead of
// building one.
func Build(dir, daemon string) (map[string]string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	files := map[string]string{"/bin/busybox": busybox, "/bin/ipe-auditd": daemon, "/init": ""}
	for name, pkg := range map[string]string{"/init": "test/vm/guest", "/bin/ipe-auditd": "cmd/ipe-auditd"} {
		if files[name] != "" {
			continue
		}
		files[name] = filepath.Join(dir, filepath.Base(pkg))
		if err := buildStatic(files[name], module+pkg); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Initramfs writes the guest's root file system into a file. Files are those of
// Build and others, by their absolute names in the guest. Init is act as well,
// unless there is a /bin/act.
func Initramfs(file string, files map[string]string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	w := bufio.NewWriter(f)
	a := &archive{w: w}
	for _, name := range []string{"bin", "boot", "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "var"} {
		a.dir(name)
	}
	a.device("dev/console", 5, 1)
	if files["/bin/act"] == "" {
		a.symlink("bin/act", "../init")
	}
	a.symlink("bin/sh", "busybox")
	for name, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		a.file(strings.TrimPrefix(name, "/"), 0o755, text)
	}
	if err := a.close(); err != nil {
		return err
	}
	return w.Flush()
}

// buildStatic builds a program that needs no library.
func buildStatic(out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Program is the smallest program there is: an ELF file for x86-64 with one
// segment, which ends with status 0.
func Program() []byte {
	const base, headers = 0x400000, 64 + 56
	code := []byte{
		0x31, 0xff, // xor edi, edi
		0xb8, 0x3c, 0, 0, 0, // mov eax, SYS_exit
		0x0f, 0x05, // syscall
	}
	p := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	p = le(p, 2, 2, 2, 62, 4, 1)                  // ET_EXEC, EM_X86_64
	p = le(p, 8, base+headers, 8, 64, 8, 0)       // entry, program headers, no sections
	p = le(p, 4, 0, 2, 64, 2, 56, 2, 1)           // sizes, one program header
	p = le(p, 2, 64, 2, 0, 2, 0)                  // no section headers
	p = le(p, 4, 1, 4, 5, 8, 0, 8, base, 8, base) // PT_LOAD, PF_R|PF_X
	n := uint64(headers + len(code))
	p = le(p, 8, n, 8, n, 8, 0x1000)
	return append(p, code...)
}

// le appends numbers in little endian: pairs of size in bytes and value.
func le(b []byte, pairs ...uint64) []byte {
	for i := 0; i < len(pairs); i += 2 {
		for j := range pairs[i] {
			b = append(b, byte(pairs[i+1]>>(8*j)))
		}
	}
	return b
}
