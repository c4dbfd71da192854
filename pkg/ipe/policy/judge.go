package policy

// Truth is whether something holds. The zero value is that it is not known.
type Truth uint8

// The values of a Truth.
const (
	Unknown Truth = iota
	False
	True
)

// TruthOf returns True or False.
func TruthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}

// DigestFact is what is known of a digest. The zero value is nothing.
type DigestFact struct {
	// Has says whether the object has one.
	Has Truth

	// Digest is the digest, when Has is True.
	Digest Digest
}

// Facts are what is known of an object that is judged. The zero value is
// nothing. An access without a file has none of the properties: everything is
// False (see [NoFile]).
type Facts struct {
	BootVerified      Truth
	DMVerityRootHash  DigestFact
	DMVeritySignature Truth
	FSVerityDigest    DigestFact
	FSVeritySignature Truth
}

// NoFile returns the facts of an access without a file: anonymous memory, or
// data that a program hands to the kernel.
func NoFile() Facts {
	return Facts{
		BootVerified:     False,
		DMVerityRootHash: DigestFact{Has: False}, DMVeritySignature: False,
		FSVerityDigest: DigestFact{Has: False}, FSVeritySignature: False,
	}
}

// Learn adds that a property holds, as a record shows by the rule that matched.
func (f *Facts) Learn(p Property) {
	switch fact := (DigestFact{Has: True, Digest: p.Digest}); p.Key {
	case BootVerified:
		f.BootVerified = TruthOf(p.Value)
	case DMVerityRootHash:
		f.DMVerityRootHash = fact
	case DMVeritySignature:
		f.DMVeritySignature = TruthOf(p.Value)
	case FSVerityDigest:
		f.FSVerityDigest = fact
	case FSVeritySignature:
		f.FSVeritySignature = TruthOf(p.Value)
	}
}

// Holds reports whether the property holds of the object.
func (p Property) Holds(f *Facts) Truth {
	switch p.Key {
	case BootVerified:
		return equal(f.BootVerified, p.Value)
	case DMVerityRootHash:
		return f.DMVerityRootHash.is(p.Digest)
	case DMVeritySignature:
		return equal(f.DMVeritySignature, p.Value)
	case FSVerityDigest:
		return f.FSVerityDigest.is(p.Digest)
	case FSVeritySignature:
		return equal(f.FSVeritySignature, p.Value)
	case KeyOther:
		return Unknown // what it asks for, and of what
	}
	return False
}

func equal(fact Truth, value bool) Truth {
	if fact == Unknown {
		return Unknown
	}
	return TruthOf((fact == True) == value)
}

func (f *DigestFact) is(d Digest) Truth {
	if f.Has == True {
		return TruthOf(f.Digest.Equal(d))
	}
	return f.Has
}

// Matches reports whether all properties of the rule hold: False as soon as one
// does not. A rule without properties always matches.
func (r *Rule) Matches(f *Facts) Truth {
	matches := True
	for _, p := range r.Properties {
		switch p.Holds(f) {
		case False:
			return False
		case Unknown:
			matches = Unknown
		}
	}
	return matches
}

// Judgement is what a policy says of an access.
type Judgement struct {
	// Action is ActionNone when it depends on what is not known.
	Action Action

	// Rule is the index of the rule that decides when none of Maybe does. It is
	// -1 for OpNone in a policy without a global default: the kernel allows that
	// with a warning. It is -1 too for an operation that is not known, when no
	// default stands for it for certain.
	Rule int

	// Maybe are the indexes of the rules before Rule that may match, in order;
	// then those of defaults that may stand in its place.
	Maybe []int
}

// Judge returns what the policy says of an access (ipe_evaluate_event in
// security/ipe/eval.c). The policy must be one that Parse or ParseLenient
// accepts. What depends on a word that is not known is not known, but the global
// default is for every operation.
func (p *Policy) Judge(op Op, f *Facts) Judgement {
	j := Judgement{Rule: -1, Action: Allow}
	for i := range p.Rules {
		r := &p.Rules[i]
		is := r.IsFor(op)
		if r.Default || is == False {
			continue
		}
		matches := r.Matches(f)
		if matches == True && is == True {
			j.Rule = i
			break
		}
		if matches != False {
			j.Maybe = append(j.Maybe, i)
		}
	}
	if j.Rule < 0 {
		j.Maybe = append(j.Maybe, p.maybeDefaults(op)...)
		if j.Rule = p.Default(op); j.Rule >= 0 && !p.Rules[j.Rule].Op.Known() {
			j.Rule = p.Default(OpNone) // the other one may be in place of it
		}
	}
	switch {
	case j.Rule >= 0:
		j.Action = p.Rules[j.Rule].Action
	case op != OpNone:
		j.Action = ActionNone
	}
	for _, i := range j.Maybe {
		if p.Rules[i].Action != j.Action {
			j.Action = ActionNone
			break
		}
	}
	return j
}

// maybeDefaults returns the defaults that may be those of op, if a kernel knows
// the operation that they name.
func (p *Policy) maybeDefaults(op Op) []int {
	var list []int
	for i := range p.Rules {
		if r := &p.Rules[i]; r.Default && r.IsFor(op) == Unknown && !p.hasDefault(op, i) {
			list = append(list, i)
		}
	}
	return list
}

// hasDefault reports whether the operation has a default of its own but rule i.
func (p *Policy) hasDefault(op Op, i int) bool {
	own := p.Default(op)
	return own >= 0 && own != i && p.Rules[own].Op == op
}
