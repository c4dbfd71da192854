package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

// The parts of CycloneDX 1.6 that are filled in here, under its names:
// https://cyclonedx.org/docs/1.6/json/
type (
	bill struct {
		BOMFormat    string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp time.Time `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licenses   []licence  `json:"licenses"`
		Purl       string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	licence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// billOf is the name of the bill of materials for an architecture.
func (b *build) billOf(arch string) string {
	return fmt.Sprintf("ipe-auditd-%s-%s.cdx.json", b.version, arch)
}

// materials writes the bill of materials of a binary. What is in the binary, the
// binary itself says (go version -m).
func (b *build) materials(binary, arch string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	digest, err := sha256File(binary)
	if err != nil {
		return err
	}
	main := golang(info.Main.Path, b.version, "Apache-2.0")
	main.Type = "application"
	main.Hashes = []hash{{"SHA-256", digest}}
	for _, s := range info.Settings {
		main.Properties = append(main.Properties, property{"go:build:" + strings.TrimPrefix(s.Key, "-"), s.Value})
	}
	// The standard library has no version of its own.
	components := []component{golang("std", strings.TrimPrefix(info.GoVersion, "go"), "BSD-3-Clause")}
	for _, dep := range info.Deps {
		id := ""
		for _, m := range b.modules {
			if m.path == dep.Path {
				id = m.licence
			}
		}
		if id == "" || dep.Replace != nil {
			return fmt.Errorf("%s contains %s, of which the notices know nothing", binary, dep.Path)
		}
		components = append(components, golang(dep.Path, dep.Version, id))
	}
	all := dependency{Ref: main.Ref}
	for _, c := range components {
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	text, err := json.MarshalIndent(bill{
		BOMFormat: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{Timestamp: b.time, Component: main}, Components: components, Dependencies: []dependency{all},
	}, "", "  ")
	if err != nil {
		return err
	}
	return b.create(b.billOf(arch), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// golang is a module as a component.
func golang(path, version, id string) component {
	purl := "pkg:golang/" + path + "@" + url.QueryEscape(version)
	c := component{Type: "library", Ref: purl, Name: path, Version: version, Purl: purl, Licenses: make([]licence, 1)}
	c.Licenses[0].License.ID = id
	return c
}

func sha256File(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
