package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// choice is a flag that has one of a few values.
type choice struct {
	value *string
	of    []string
}

// newChoice returns a flag for value, which may be given one of these values.
func newChoice(value *string, of ...string) *choice { return &choice{value, of} }

func (c *choice) String() string { return *c.value }

// Type is what the help shows where the usage has no word in backquotes.
func (c *choice) Type() string { return strings.Join(c.of, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return unknownValue(s, c.of)
	}
	*c.value = s
	return nil
}

// unknownValue refuses a value that is none of these.
func unknownValue(s string, of []string) error {
	return fmt.Errorf("%s is unknown%s", text.Quote(s), text.DidYouMean(s, of))
}

// formats are the forms of output that every query has.
func formats() []string { return []string{format.JSON, format.Text} }

// jsonFlag is --format, which says the same as --json.
type jsonFlag struct{ json *bool }

func (f jsonFlag) Type() string { return strings.Join(formats(), "|") }

func (f jsonFlag) String() string {
	if f.json != nil && *f.json {
		return format.JSON
	}
	return format.Text
}

func (f jsonFlag) Set(s string) error {
	if !slices.Contains(formats(), s) {
		return unknownValue(s, formats())
	}
	*f.json = s == format.JSON
	return nil
}

// addJSON gives cmd the flags --json and --format, of which the last one that is
// given counts. asJSON holds the default.
func addJSON(cmd *cobra.Command, asJSON *bool, usage string) {
	cmd.Flags().BoolVar(asJSON, "json", *asJSON, usage)
	cmd.Flag("json").DefValue = "false" // which the help leaves out
	cmd.Flags().VarP(jsonFlag{asJSON}, "format", "o", "print this `FORM`: json or text")
}

// flagError words what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var absent *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &value):
		err = fmt.Errorf("--%s %w", value.GetFlag().Name, plainly(value))
	case errors.As(err, &absent) && absent.GetSpecifiedShortnames() == "":
		name := absent.GetSpecifiedName()
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if similar := text.Nearest(name, names); similar != "" {
			err = fmt.Errorf("unknown flag: --%s; did you mean --%s?", name, similar)
		}
	}
	return usageError{err}
}

// plainly returns what a value was refused for, without the words of strconv.
func plainly(e *pflag.InvalidValueError) error {
	switch e.GetFlag().Value.Type() {
	case "bool":
		return fmt.Errorf("%s is neither true nor false", text.Quote(e.GetValue()))
	case "int":
		return fmt.Errorf("%s is not a whole number", text.Quote(e.GetValue()))
	case "duration":
		return fmt.Errorf("%s is not a duration; write a number and a unit, such as 10s or 5m", text.Quote(e.GetValue()))
	}
	return e.Unwrap()
}
