package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tarball returns the files of a tar by name, which must be root's and in order.
func tarball(t *testing.T, data []byte) (files map[string][]byte, headers []*tar.Header) {
	t.Helper()
	files = make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Mode&0o022 != 0 {
			t.Errorf("%s: owner %d:%d %q, mode %o", h.Name, h.Uid, h.Gid, h.Uname, h.Mode)
		}
		files[h.Name] = text
		headers = append(headers, h)
	}
	if !slices.IsSortedFunc(headers, func(a, b *tar.Header) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the files are in no order")
	}
	return files, headers
}

// layout is an image layout that was read.
type layout struct {
	t     *testing.T
	files map[string][]byte
	used  map[string]bool
}

// blob returns what d points to, which must be what it says.
func (l *layout) blob(d descriptor) []byte {
	l.t.Helper()
	name := "blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:")
	data := l.files[name]
	l.used[name] = true
	sum := sha256.Sum256(data)
	if len(data) != d.Size || hex.EncodeToString(sum[:]) != strings.TrimPrefix(d.Digest, "sha256:") {
		l.t.Errorf("%s has %d bytes and is not what %s with %d bytes says", name, len(data), d.Digest, d.Size)
	}
	return data
}

// document reads a blob into v.
func (l *layout) document(d descriptor, mediaType string, v any) {
	l.t.Helper()
	if d.MediaType != mediaType {
		l.t.Errorf("a %s, want a %s", d.MediaType, mediaType)
	}
	if err := json.Unmarshal(l.blob(d), v); err != nil {
		l.t.Error(err)
	}
}

type index struct {
	SchemaVersion int
	MediaType     string
	Manifests     []descriptor
}

// layersOf checks an image as image-spec's image-layout.md, image-index.md,
// manifest.md and config.md say, and returns the files of each architecture.
func layersOf(t *testing.T, archive []byte, wantTag string) map[string]map[string][]byte {
	t.Helper()
	files, _ := tarball(t, archive)
	l := &layout{t: t, files: files, used: map[string]bool{"oci-layout": true, "index.json": true}}
	if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %s", got)
	}
	var top, all index
	if err := json.Unmarshal(files["index.json"], &top); err != nil || top.SchemaVersion != 2 || len(top.Manifests) != 1 {
		t.Fatalf("index.json is %s: %v", files["index.json"], err)
	}
	if got := top.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != wantTag {
		t.Errorf("the tag is %q, want %q", got, wantTag)
	}
	l.document(top.Manifests[0], mediaIndex, &all)
	found := make(map[string]map[string][]byte)
	for _, m := range all.Manifests {
		var manifest struct {
			SchemaVersion int
			MediaType     string
			Config        descriptor
			Layers        []descriptor
		}
		l.document(m, mediaManifest, &manifest)
		var config struct {
			Architecture, OS string
			Config           struct {
				User       string
				Entrypoint []string
			}
			Rootfs struct {
				Type    string
				DiffIDs []string `json:"diff_ids"`
			}
		}
		l.document(manifest.Config, mediaConfig, &config)
		if m.Platform == nil || m.Platform.Architecture != config.Architecture || m.Platform.OS != "linux" || config.OS != "linux" {
			t.Errorf("a platform %+v, and a configuration for %s/%s", m.Platform, config.OS, config.Architecture)
		}
		if len(manifest.Layers) != 1 || manifest.SchemaVersion != 2 || len(config.Rootfs.DiffIDs) != 1 || config.Rootfs.Type != "layers" {
			t.Fatalf("manifest %+v, configuration %+v", manifest, config)
		}
		zipped, err := gzip.NewReader(bytes.NewReader(l.blob(manifest.Layers[0])))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := io.ReadAll(zipped)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(layer)
		if config.Rootfs.DiffIDs[0] != "sha256:"+hex.EncodeToString(sum[:]) {
			t.Errorf("the layer is not that of diff_ids")
		}
		files, headers := tarball(t, layer)
		i := slices.IndexFunc(headers, func(h *tar.Header) bool { return "/"+h.Name == config.Config.Entrypoint[0] })
		if i < 0 || headers[i].Mode != 0o755 {
			t.Errorf("%v is not there, or cannot be executed", config.Config.Entrypoint)
		}
		found[config.Architecture] = files
	}
	for name := range files {
		if !l.used[name] && !strings.HasSuffix(name, "/") {
			t.Errorf("nothing points to %s", name)
		}
	}
	return found
}

func TestImageIsWhatTheSpecificationSays(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	for _, name := range []string{"LICENSE", noticesFile, "amd64", "arm64"} {
		writeTest(t, source, name, "this is "+name)
	}
	make := func() []byte {
		t.Helper()
		b := &build{release: release{version: "0.1.0~git1.ab", time: time.Unix(1795440937, 0).UTC()}, out: t.TempDir(), source: source}
		if err := b.image([]string{"arm64", "amd64"}, func(arch string) (string, error) { return filepath.Join(source, arch), nil }); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(filepath.Join(b.out, "ipe-auditd-0.1.0~git1.ab.oci.tar"))
		if err != nil {
			t.Fatal(err)
		}
		return archive
	}
	archive := make()
	if !bytes.Equal(archive, make()) {
		t.Error("the same release makes another image")
	}
	found := layersOf(t, archive, "0.1.0-git1.ab")
	for _, arch := range []string{"amd64", "arm64"} {
		want := map[string]string{
			"usr/": "", "usr/bin/": "", imageProgram: "this is " + arch, "usr/share/": "", "usr/share/doc/": "", docs + "/": "",
			docs + "/LICENSE": "this is LICENSE", docs + "/" + noticesFile: "this is " + noticesFile,
		}
		got := map[string]string{}
		for name, data := range found[arch] {
			got[name] = string(data)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files for %s (-want +got):\n%s", arch, diff)
		}
	}
	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(file, archive, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"inspect", "--raw", "oci-archive:" + file},
			{"copy", "--insecure-policy", "--all", "oci-archive:" + file, "dir:" + t.TempDir()},
		} {
			if out, err := exec.Command(skopeo, args...).CombinedOutput(); err != nil {
				t.Errorf("skopeo %v: %v\n%s", args, err, out)
			}
		}
	}
}

// image looks at that of the release, and runs the program with nothing around it
// but the image.
func (r *testRelease) image(t *testing.T) {
	archive, err := os.ReadFile(filepath.Join(r.dir, "ipe-auditd-"+testVersion+".oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, data := range layersOf(t, archive, testVersion)["amd64"] {
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out := must(t, "", "unshare", "--map-root-user", "--root", root, "/"+imageProgram, "version")
	if !strings.Contains(out, testVersion) {
		t.Errorf("the program in the image says %q", out)
	}
}
