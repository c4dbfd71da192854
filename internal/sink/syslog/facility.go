package syslog

import "slices"

// facilities are the names of syslog(3) and rsyslog in the order of their
// numerical codes: RFC 5424 section 6.2.1. Those without a name among us are
// empty.
func facilities() []string {
	return []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
}

// facilityCode returns the numerical code of a facility, for format.Syslog.
func facilityCode(name string) (code int, ok bool) {
	code = slices.Index(facilities(), name)
	return code, name != "" && code >= 0
}

// facilityNames returns the names that a configuration may use: all but the
// kernel's.
func facilityNames() []string {
	return slices.DeleteFunc(facilities(), func(name string) bool { return name == "" || name == "kern" })
}
