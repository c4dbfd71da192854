package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The media types of https://github.com/opencontainers/image-spec.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// oci is the format of an image for containers.
const oci = "oci"

// imageProgram is where the program is in an image.
const imageProgram = "usr/bin/ipe-auditd"

// image is an OCI image layout: blobs by digest.
//
// It is written by hand and not by go-containerregistry: an image of one layer is
// five small documents, and that library would bring clients of registries and
// containers, some thirty modules, into the source archive and the bills of materials
// of everybody.
type image struct {
	created time.Time
	blobs   map[string][]byte // by the name of their file
}

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// put adds a blob.
func (i *image) put(mediaType string, data []byte) descriptor {
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	i.blobs["blobs/sha256/"+digest] = data
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(data)}
}

// document adds v as JSON.
func (i *image) document(mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	return i.put(mediaType, text), err
}

// imageFile is a file of a layer.
type imageFile struct {
	name string
	mode int64
	data []byte
}

// layer returns files, and the folders they are in, as a tar: of root, and of the
// time of the release.
func (i *image) layer(files []imageFile) ([]byte, error) {
	all := slices.Clone(files)
	for _, f := range files {
		for dir := path.Dir(f.name); dir != "."; dir = path.Dir(dir) {
			if !slices.ContainsFunc(all, func(o imageFile) bool { return o.name == dir+"/" }) {
				all = append(all, imageFile{name: dir + "/", mode: 0o755})
			}
		}
	}
	slices.SortFunc(all, func(a, b imageFile) int { return cmp.Compare(a.name, b.name) })
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range all {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: i.created, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}

// add adds the image of an architecture, and returns what points to it.
func (i *image) add(version, arch string, files []imageFile) (descriptor, error) {
	tarball, err := i.layer(files)
	if err != nil {
		return descriptor{}, err
	}
	layer := i.put(mediaLayer, compressed(tarball))
	sum := sha256.Sum256(tarball)
	created := i.created.Format(time.RFC3339)
	config, err := i.document(mediaConfig, map[string]any{
		"created": created, "architecture": arch, "os": "linux",
		"config": map[string]any{
			"Entrypoint": []string{"/" + imageProgram},
			"Env":        []string{"PATH=/usr/bin"},
			"WorkingDir": "/",
			"StopSignal": "SIGTERM",
			"Labels":     labels(version, created),
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		"history": []any{map[string]string{"created": created, "created_by": "go run ./deploy/packages"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	manifest, err := i.document(mediaManifest, map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": []descriptor{layer},
		"annotations": labels(version, created),
	})
	manifest.Platform = &platform{Architecture: arch, OS: "linux"}
	if arch == "arm64" {
		manifest.Platform.Variant = "v8"
	}
	return manifest, err
}

// labels are what is said about an image (image-spec, annotations.md).
func labels(version, created string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    "ipe-auditd",
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.created":  created,
		"org.opencontainers.image.source":   "https://github.com/ipe-auditd/ipe-auditd",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

// write writes the layout as a tar, which skopeo, podman, ctr and docker read.
func (i *image) write(w io.Writer, version string, manifests []descriptor) error {
	index, err := i.document(mediaIndex, map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests})
	if err != nil {
		return err
	}
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag(version)}
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []descriptor{index}})
	if err != nil {
		return err
	}
	files := []imageFile{
		{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", 0o644, text},
	}
	for name, data := range i.blobs {
		files = append(files, imageFile{name, 0o644, data})
	}
	tarball, err := i.layer(files)
	if err != nil {
		return err
	}
	_, err = w.Write(tarball)
	return err
}

// tag is the version as a tag may be: it has no ~ and no +.
func tag(version string) string { return strings.NewReplacer("~", "-", "+", "-").Replace(version) }

// image writes the image of all architectures: the program, and what its licence and
// those of its modules ask for.
func (b *build) image(arches []string, compile func(arch string) (string, error)) error {
	i := &image{created: b.time, blobs: make(map[string][]byte)}
	var manifests []descriptor
	for _, arch := range slices.Sorted(slices.Values(arches)) {
		binary, err := compile(arch)
		if err != nil {
			return err
		}
		files := []imageFile{{name: imageProgram, mode: 0o755}, {name: docs + "/LICENSE", mode: 0o644}, {name: docs + "/" + noticesFile, mode: 0o644}}
		for n, from := range []string{binary, filepath.Join(b.source, "LICENSE"), filepath.Join(b.source, noticesFile)} {
			if files[n].data, err = os.ReadFile(from); err != nil {
				return err
			}
		}
		m, err := i.add(b.version, arch, files)
		if err != nil {
			return fmt.Errorf("image for %s: %w", arch, err)
		}
		manifests = append(manifests, m)
	}
	return b.create("ipe-auditd-"+b.version+".oci.tar", func(w io.Writer) error { return i.write(w, b.version, manifests) })
}
