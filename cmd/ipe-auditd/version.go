package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by release builds: -ldflags "-X main.version=1.2.3".
var version string

// daemonVersion returns the version of this program.
func daemonVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionLine is what version and --version print.
func versionLine() string {
	return fmt.Sprintf("ipe-auditd %s (%s, %s)\n", daemonVersion(), runtime.Version(), runtime.GOARCH)
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(struct {
					Version string `json:"version"`
					Go      string `json:"go"`
					Arch    string `json:"arch"`
				}{daemonVersion(), runtime.Version(), runtime.GOARCH})
			}
			_, err := io.WriteString(out, versionLine())
			return err
		},
	}
	addJSON(cmd, &asJSON, "print JSON")
	return cmd
}
