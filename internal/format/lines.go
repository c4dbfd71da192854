package format

// The names of the formats of lines, as the configuration and the feed have them.
const (
	JSON = "json" // AppendJSON
	Text = "text" // AppendText
	Raw  = "raw"  // AppendRaw
)

// Lines returns the format of lines of that name, nil for any other name.
func Lines(name string) Func {
	switch name {
	case JSON:
		return AppendJSON
	case Text:
		return AppendText
	case Raw:
		return AppendRaw
	}
	return nil
}
