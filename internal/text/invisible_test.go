package text

import (
	"testing"
	"unicode"
)

func TestInvisibleAgreesWithPackageUnicode(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		want := unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
			!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
		if got := Invisible(r); got != want {
			t.Errorf("%U: got %v, want %v", r, got, want)
		}
	}
}
