// Package kubernetes reads what is in deploy/kubernetes as the API server of Kubernetes
// would: by its types, strictly. Whether pods start, no test here can tell: there is no
// cluster.
package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// read returns the objects of a file. A key that the types do not have is an error, and
// so is one that comes twice.
func read(t *testing.T, file string) (objects []runtime.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, object)
	}
}

func TestDaemonSetIsOneOfKubernetes(t *testing.T) {
	var set *appsv1.DaemonSet
	var kinds []string
	for _, o := range read(t, "../../deploy/kubernetes/daemonset.yaml") {
		kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
		if s, ok := o.(*appsv1.DaemonSet); ok {
			set = s
		}
	}
	if want := []string{"Namespace", "ConfigMap", "DaemonSet"}; !slices.Equal(kinds, want) {
		t.Fatalf("%v, want %v", kinds, want)
	}
	pod := set.Spec.Template
	for key, value := range set.Spec.Selector.MatchLabels {
		if pod.Labels[key] != value {
			t.Errorf("the selector wants %s=%s, the pods have %q", key, value, pod.Labels[key])
		}
	}
	if !pod.Spec.HostNetwork || !pod.Spec.HostPID || pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers {
		t.Error("in another network or user namespace there are no audit records, and in another pid namespace no processes")
	}
	c := pod.Spec.Containers[0]
	s := c.SecurityContext
	if got := s.Capabilities; !slices.Equal(got.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(got.Add, []corev1.Capability{"AUDIT_READ"}) {
		t.Errorf("capabilities are %v", got)
	}
	if s.RunAsUser == nil || *s.RunAsUser != 0 || s.Privileged != nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		t.Errorf("the security context is %+v", s)
	}
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
}

func TestUnknownKeysAreSeen(t *testing.T) {
	decoder := serializer.NewCodecFactory(func() *runtime.Scheme {
		s := runtime.NewScheme()
		_ = appsv1.AddToScheme(s)
		return s
	}(), serializer.EnableStrict).UniversalDeserializer()
	if _, _, err := decoder.Decode([]byte("apiVersion: apps/v1\nkind: DaemonSet\nspec: {templat: {}}\n"), nil, nil); err == nil {
		t.Error("a mistake is not seen, so this test shows nothing")
	}
}
