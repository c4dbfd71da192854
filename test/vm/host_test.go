package vm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// emptyStore returns a firmware volume of the size with an empty variable
// store, as edk2 makes it.
func emptyStore(size int) []byte {
	const header = 72
	v := bytes.Repeat([]byte{0xff}, size)
	clear(v[:header+storeHeader])
	copy(v[40:], volumeSignature)
	binary.LittleEndian.PutUint16(v[volumeLengthAt:], header)
	copy(v[header:], guid(0xaaf32c78, 0x947b, 0x439a, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92))
	binary.LittleEndian.PutUint32(v[header+16:], uint32(size-header))
	return v
}

func TestVariableStoreHoldsTheCertificate(t *testing.T) {
	t.Parallel()
	certificate := bytes.Repeat([]byte("DER"), 333)
	empty := emptyStore(4096)
	store, err := VariableStore(empty, certificate)
	if err != nil {
		t.Fatal(err)
	}
	if len(store) != len(empty) {
		t.Errorf("the store has %d bytes, want %d", len(store), len(empty))
	}
	if !bytes.Equal(empty, emptyStore(4096)) {
		t.Error("the empty store was written to")
	}
	v := store[72+storeHeader:]
	nameSize, dataSize := binary.LittleEndian.Uint32(v[36:]), binary.LittleEndian.Uint32(v[40:])
	name := v[variableHeader:][:nameSize]
	data := v[variableHeader+nameSize:][:dataSize]
	if string(name) != "d\x00b\x00\x00\x00" {
		t.Errorf("name %q", name)
	}
	if got := binary.LittleEndian.Uint32(data[16:]); int(got) != len(data) {
		t.Errorf("a signature list of %d bytes in a variable of %d", got, len(data))
	}
	if !bytes.HasSuffix(data, certificate) {
		t.Error("the variable does not end with the certificate")
	}
	rest := v[variableHeader+int(nameSize+dataSize)+variableAlign:]
	if len(bytes.Trim(rest, "\xff")) != 0 {
		t.Error("something was written behind the variable")
	}
}

func TestVariableStoreRefuses(t *testing.T) {
	t.Parallel()
	other := emptyStore(4096)
	other[72] ^= 1
	used, err := VariableStore(emptyStore(4096), []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want  string
		store       []byte
		certificate int
	}{
		{"nothing", "not a firmware volume", nil, 1},
		{"no volume", "not a firmware volume", make([]byte, 4096), 1},
		{"another sort of store", "not a store", other, 1},
		{"cut off", "not a store", emptyStore(4096)[:80], 1},
		{"too large a certificate", "does not fit", emptyStore(4096), 4096},
		{"used store", "not empty", used, 1},
	} {
		if _, err := VariableStore(c.store, make([]byte, c.certificate)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestInitramfsIsReadByCpio(t *testing.T) {
	t.Parallel()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("no busybox to read the archive with")
	}
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "initramfs")
	if err := Initramfs(file, map[string]string{"/boot/a": odd, "/bin/b": odd}); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// The device needs root to be made, so it is left out.
	cmd := exec.Command(busybox, "cpio", "-i", "bin", "bin/*", "boot", "boot/*")
	cmd.Dir, cmd.Stdin = t.TempDir(), in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	for _, name := range []string{"boot/a", "bin/b"} {
		got, err := os.ReadFile(filepath.Join(cmd.Dir, name))
		if string(got) != "12345" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if target, err := os.Readlink(filepath.Join(cmd.Dir, "bin/act")); target != "../init" {
		t.Errorf("bin/act is a link to %q, %v", target, err)
	}
}

// Not parallel: a test that starts a process would inherit the open file for
// a moment, and the kernel executes no file that is open for writing.
func TestProgramEndsWithStatusZero(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, Program(), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(file).CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v: %q", err, out)
	}
}

func TestChooseTakesThePackageWithTheImage(t *testing.T) {
	t.Parallel()
	names := []string{
		"linux-image-6.1.0-56-cloud-amd64-unsigned",
		"linux-image-6.12.9+deb12-cloud-amd64-unsigned",
		"linux-image-6.12.117+deb12-cloud-amd64",
		"linux-image-6.12.101+deb12-cloud-amd64",
		"linux-image-6.18.15+deb13-cloud-amd64",
		"linux-image-6.19.14+deb13-cloud-amd64",
		"linux-binary-6.19.14+deb13-cloud-amd64",
		"linux-binary-7.3.4+deb13-cloud-amd64",
		"linux-binary-7.2.13+deb14-cloud-amd64",
		"linux-image-7.3.9+deb13-cloud-amd64",
	}
	got := map[string]string{}
	for _, version := range []string{"6.1", "6.12", "6.18", "6.19", "7", "7.2", "8.0", Newest} {
		got[version] = choose(names, version)
	}
	want := map[string]string{
		"6.1":  "", // before IPE
		"6.12": "linux-image-6.12.117+deb12-cloud-amd64",
		"6.18": "linux-image-6.18.15+deb13-cloud-amd64",
		"6.19": "linux-binary-6.19.14+deb13-cloud-amd64",
		"7":    "linux-binary-7.3.4+deb13-cloud-amd64",
		"7.2":  "linux-binary-7.2.13+deb14-cloud-amd64",
		"8.0":  "",
		Newest: "linux-binary-7.3.4+deb13-cloud-amd64",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func TestFindKernelTakesAnImage(t *testing.T) {
	t.Parallel()
	image := make([]byte, 0x1000)
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(image[0x20e:], 0x300)
	copy(image[0x500:], "6.12.1-lab (me@here) #1")
	file := filepath.Join(t.TempDir(), "bzImage")
	for name, c := range map[string]struct {
		image   []byte
		release string
	}{
		"image":            {image, "6.12.1-lab"},
		"no header":        {make([]byte, 0x1000), ""},
		"cut off":          {image[:0x400], ""},
		"shorter than all": {image[:10], ""},
	} {
		if err := os.WriteFile(file, c.image, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := FindKernel(t.Context(), "", file)
		if (err == nil) != (c.release != "") || err == nil && (k.Release != c.release || k.Image != file) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

func TestKernelAtLeast(t *testing.T) {
	t.Parallel()
	k := Kernel{Release: "6.16.12+deb13-cloud-amd64"}
	for version, want := range map[[2]int]bool{{6, 12}: true, {6, 16}: true, {6, 19}: false, {7, 0}: false, {5, 99}: true} {
		if got := k.AtLeast(version[0], version[1]); got != want {
			t.Errorf("at least %v: %t", version, got)
		}
	}
}

func TestVerityTreeHasTheTopFirst(t *testing.T) {
	t.Parallel()
	// 129 blocks: two blocks of hashes, and one above them.
	data := make([]byte, 129*verityBlock)
	for i := range 129 {
		data[i*verityBlock] = byte(i)
	}
	tree, root := VerityTree(data)
	if len(tree) != 3*verityBlock {
		t.Fatalf("a tree of %d bytes", len(tree))
	}
	top, leaves := tree[:verityBlock], tree[verityBlock:]
	if root != sha256.Sum256(top) {
		t.Error("the root is not the hash of the first block")
	}
	for i, block := range [][]byte{leaves[:verityBlock], leaves[verityBlock:]} {
		if h := sha256.Sum256(block); !bytes.Equal(top[i*len(h):][:len(h)], h[:]) {
			t.Errorf("the hash of block %d is not in the top", i)
		}
	}
	if h := sha256.Sum256(data[128*verityBlock:]); !bytes.Equal(leaves[verityBlock:][:len(h)], h[:]) {
		t.Error("the hash of the last block of data is not where it should be")
	}

	one, root := VerityTree(data[:verityBlock])
	if h := sha256.Sum256(data[:verityBlock]); len(one) != verityBlock || !bytes.HasPrefix(one, h[:]) || root != sha256.Sum256(one) {
		t.Error("the tree of one block is not one block with one hash")
	}
}
