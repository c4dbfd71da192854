package debian

import (
	"crypto/sha256"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

// Names of disks, which are their serial numbers in the guest.
const (
	diskSealed = "sealed"
	diskState  = "state"
)

// blockSize is the size of blocks of ext4 and of dm-verity.
const blockSize = 4096

// Image is a root file system that nobody can change: an ext4, and behind it
// the hash tree of dm-verity.
type Image struct {
	File   string
	Blocks int // of the ext4
	Root   [sha256.Size]byte
}

// Seal makes an image of the folder root, in dir.
func Seal(lab *vm.Lab, root, dir string) (*Image, error) {
	i := &Image{File: filepath.Join(dir, diskSealed)}
	if err := lab.Format("-O", "^has_journal", "-m", "0", "-d", root, i.File, "256M"); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(i.File)
	if err != nil {
		return nil, err
	}
	var tree []byte
	tree, i.Root = vm.VerityTree(data)
	i.Blocks = len(data) / blockSize
	f, err := os.OpenFile(i.File, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(tree); err != nil {
		f.Close()
		return nil, err
	}
	return i, f.Close()
}

// stateDisk makes the disk of the overlay's upper layer, in dir. It has
// fs-verity.
func stateDisk(lab *vm.Lab, dir string) (string, error) {
	layers, file := filepath.Join(dir, "layers"), filepath.Join(dir, diskState)
	for _, layer := range []string{"upper", "work"} {
		if err := os.MkdirAll(filepath.Join(layers, layer), 0o755); err != nil {
			return "", err
		}
	}
	return file, lab.Format("-O", "verity", "-d", layers, file, "512M")
}
