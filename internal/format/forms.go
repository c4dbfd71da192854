package format

func appendSDValue(dst, b []byte) ([]byte, bool) { return append(dst, b...), true }
func appendEnvValue(dst, b []byte) []byte        { return append(dst, b...) }
func appendJournalBinary(dst, b []byte) []byte   { return append(dst, b...) }
