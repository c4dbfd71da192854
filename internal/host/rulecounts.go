package host

// RuleCounts says how many rules of the kernel's audit filters concern the
// records of IPE, and by which kind. It holds no text of a rule.
type RuleCounts struct {
	Total int `json:"total"` // rules of any kind

	// Exclude has the types that exclude rules take away from every listener;
	// those that lose nothing are left out.
	Exclude []ExcludedType `json:"exclude,omitempty"`

	TaskNever  int `json:"task_never"`  // new tasks get no SYSCALL records
	ExitNever  int `json:"exit_never"`  // some system calls get none
	ExitAlways int `json:"exit_always"` // any of these makes that PATH and CWD records come too
	FSNever    int `json:"fs_never"`    // PATH records of some file systems are left out
}

// ExcludedType counts the exclude rules that concern a record type.
type ExcludedType struct {
	Type uint16 `json:"type"`
	All  int    `json:"all"`  // rules that take away every record
	Some int    `json:"some"` // rules that have other conditions too
}

// concernedTypes are the records of IPE, and those that the kernel sends with
// the same stamp and serial when audit is enabled: SYSCALL, PATH, CWD, EXECVE,
// EOE, PROCTITLE.
func concernedTypes() []uint16 {
	return []uint16{1300, 1302, 1307, 1309, 1320, 1327, 1404, 1420, 1421, 1422, 1423}
}

// CountRules counts rules by what they do to the records of IPE.
func CountRules(rules []AuditRule) RuleCounts {
	c := RuleCounts{Total: len(rules)}
	for _, t := range concernedTypes() {
		e := ExcludedType{Type: t}
		for _, r := range rules {
			switch some, all := r.Excludes(t); {
			case all:
				e.All++
			case some:
				e.Some++
			}
		}
		if e.All+e.Some > 0 {
			c.Exclude = append(c.Exclude, e)
		}
	}
	for _, r := range rules {
		never := r.action == actionNever
		switch {
		case r.SkipsTasks():
			c.TaskNever++
		case r.list == listExit && never:
			c.ExitNever++
		case r.list == listExit:
			c.ExitAlways++
		case r.list == listFS && never:
			c.FSNever++
		}
	}
	return c
}
