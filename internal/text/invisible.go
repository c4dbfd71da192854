package text

// Invisible reports whether r has no shape of its own, although it is no control
// character: what turns the direction of writing, joins or parts letters, or is
// not shown at all. With such characters a path looks like another one. They are
// those of the general category Cf, but for those that are shown as signs
// (Prepended_Concatenation_Mark), Zl, Zp, and those that have the property
// Default_Ignorable_Code_Point (Unicode 15, PropList.txt and
// DerivedCoreProperties.txt), which variation selectors, tags and fillers have.
//
// It is a list of its own since package unicode would search six tables for each
// character.
func Invisible(r rune) bool {
	switch {
	case r < 0xad:
		return false
	case r < 0x2000:
		return r == 0xad || r == 0x34f || r == 0x61c || r == 0x115f || r == 0x1160 ||
			r == 0x17b4 || r == 0x17b5 || 0x180b <= r && r <= 0x180f
	case r <= 0x206f:
		return 0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2060 <= r
	case r < 0xfe00:
		return r == 0x3164
	case r <= 0xffff:
		return r <= 0xfe0f || r == 0xfeff || r == 0xffa0 || 0xfff0 <= r && r <= 0xfffb
	}
	return 0x13430 <= r && r <= 0x1343f || 0x1bca0 <= r && r <= 0x1bca3 ||
		0x1d173 <= r && r <= 0x1d17a || 0xe0000 <= r && r <= 0xe0fff
}
