// Package kubernetes has the DaemonSet, and tests of what it says of ipe-auditd. What it
// says to Kubernetes is checked by test/kubernetes.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// object is what the tests look at in a document.
type object struct {
	Kind string
	Data map[string]string
	Spec struct {
		Template struct {
			Spec struct {
				Containers []struct {
					LivenessProbe  probe `yaml:"livenessProbe"`
					ReadinessProbe probe `yaml:"readinessProbe"`
					VolumeMounts   []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
				Volumes []struct{ Name string }
			}
		}
	}
}

type probe struct{ Exec struct{ Command []string } }

func objects(t *testing.T) map[string]object {
	t.Helper()
	text, err := os.ReadFile("daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]object)
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[o.Kind] = o
	}
}

// configuration returns what the ConfigMap says, which must be without a fault.
func configuration(t *testing.T) *config.Config {
	t.Helper()
	c, warnings, err := config.Parse("ipe-auditd.yaml", []byte(objects(t)["ConfigMap"].Data["ipe-auditd.yaml"]))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", err, warnings)
	}
	return c
}

func TestConfigurationIsGood(t *testing.T) {
	t.Parallel()
	c := configuration(t)
	if c.Spool.Dir == "" || c.API.Path == "" {
		t.Error("without a spool on disk a new pod begins anew, and without a feed probes fail")
	}
	if len(c.Sinks) != 2 || c.Heartbeat != config.DefaultHeartbeat {
		t.Errorf("%d sinks, a heartbeat every %v", len(c.Sinks), c.Heartbeat)
	}
}

func TestWhatTheDaemonNeedsIsMounted(t *testing.T) {
	t.Parallel()
	c := configuration(t)
	pod := objects(t)["DaemonSet"].Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	mounted := make(map[string]bool)
	for _, m := range pod.Containers[0].VolumeMounts {
		mounted[m.MountPath] = true
		if !slices.ContainsFunc(pod.Volumes, func(v struct{ Name string }) bool { return v.Name == m.Name }) {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	for _, path := range []string{config.DefaultFile, "/sys/kernel/security", "/etc/machine-id", c.Spool.Dir, filepath.Dir(c.API.Path)} {
		if !mounted[path] {
			t.Errorf("%s is not mounted", path)
		}
	}
}

// TestProbesRunTheProgramOfTheImage compares with where deploy/packages puts it.
func TestProbesRunTheProgramOfTheImage(t *testing.T) {
	t.Parallel()
	image, err := os.ReadFile(filepath.Join("..", "packages", "image.go"))
	if err != nil {
		t.Fatal(err)
	}
	c := objects(t)["DaemonSet"].Spec.Template.Spec.Containers[0]
	for _, probe := range [][]string{c.LivenessProbe.Exec.Command, c.ReadinessProbe.Exec.Command} {
		if len(probe) < 2 || !bytes.Contains(image, []byte(`imageProgram = "`+strings.TrimPrefix(probe[0], "/")+`"`)) {
			t.Errorf("a probe runs %q", probe)
		}
	}
}
