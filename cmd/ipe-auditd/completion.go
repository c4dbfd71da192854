package main

import (
	"bufio"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
)

// What a completion takes of a person's time, and of the screen.
const (
	completionPatience = time.Second
	recentIDs          = 20
)

// addCompletions gives every flag and argument of cmd and the commands below it
// that has known values their completion.
func addCompletions(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { addCompletion(cmd, f) })
	switch cmd.Name() {
	case "explain":
		cmd.ValidArgsFunction = completeID
	case "tail", "status", "doctor", "version":
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range cmd.Commands() {
		addCompletions(below)
	}
}

// addCompletion gives one flag its completion, if it has known values or none.
func addCompletion(cmd *cobra.Command, f *pflag.Flag) {
	set := func(complete cobra.CompletionFunc) { _ = cmd.RegisterFlagCompletionFunc(f.Name, complete) } // only known flags come here
	switch v := f.Value.(type) {
	case *choice:
		set(cobra.FixedCompletions(v.of, cobra.ShellCompDirectiveNoFileComp))
		return
	case jsonFlag:
		set(cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
		return
	}
	for _, known := range new(filterOptions).filters() {
		if known.flag == f.Name && known.known != nil {
			set(completeList(known.known))
			return
		}
	}
	switch f.Name {
	case "sink":
		set(completeSink)
	case "config", "policy", "base", "input", "socket", "path", "cursor-file", "html":
		// Files, which is what shells complete anyway.
	case "since", "until":
		set(cobra.FixedCompletions([]string{"today", "yesterday", "10m", "1h", "1d", "1w"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
	default:
		if f.Value.Type() != "bool" {
			set(cobra.NoFileCompletions)
		}
	}
}

// completeList completes the last one of values with commas between them.
func completeList(values []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		var list []string
		for _, v := range values {
			if !slices.Contains(strings.Split(before, ","), v) {
				list = append(list, before+v)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeSink completes --sink: a console, or a file behind the colon.
func completeSink(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(typed, file.Type+":") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return []string{console.Type, file.Type + ":"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeID completes the event that explain is asked about: one of the newest of
// the daemon. Behind it come files.
func completeID(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	list := []string{"last\tthe newest event"}
	o := clientOptions{config: cmd.Flag("config").Value.String(), socket: cmd.Flag("socket").Value.String()}
	if socket, _, err := o.places(); err == nil {
		list = append(list, newestIDs(cmd.Context(), socket)...)
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// newestIDs returns the ids of the newest events with their text, the newest first;
// none if no daemon answers in time.
func newestIDs(ctx context.Context, socket string) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	stream, err := api.NewClient(socket).Events(ctx, url.Values{
		"last": {strconv.Itoa(recentIDs)}, "events": {"access"}, "format": {"text"}, "cursor": {"true"},
	})
	if err != nil {
		return nil
	}
	defer stream.Close()
	var list []string
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		if id, event, ok := strings.Cut(lines.Text(), " "); ok {
			list = append(list, id+"\t"+event)
		}
	}
	slices.Reverse(list)
	return list
}
