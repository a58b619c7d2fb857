package contact

// Mention is who an event or a patch is about, by key or by id.
type Mention struct {
	Keys []Key
	IDs  []ID
}

// ID is a contact's id in a system.
type ID struct {
	System System
	ID     string
}

func (m *Mention) add(system System, ids ...string) {
	for _, id := range ids {
		if id != "" {
			m.IDs = append(m.IDs, ID{system, id})
		}
	}
}

// Mention tells who an event is about; nobody for a list.
func (in *Incoming) Mention() Mention {
	var m Mention
	switch {
	case in.Change != nil:
		m.add(in.Change.System, in.Change.ID)
		m.add(in.Change.System, in.Change.MergedIDs...)
	case in.Communication != nil:
		m.add(Aloware, in.Communication.ContactID)
	case in.Outcome != nil:
		m.Keys = append(m.Keys, in.Outcome.Contact)
		m.add(in.Outcome.System, in.Outcome.TargetID)
		m.add(in.Outcome.System, in.Outcome.MergedIDs...)
	case in.Command != nil:
		if in.Command.Contact != "" {
			m.Keys = append(m.Keys, in.Command.Contact)
		}
		m.add(in.Command.System, in.Command.ID)
	}
	return m
}

// Mention tells who a patch is about.
func (p *Patch) Mention() Mention {
	m := Mention{Keys: []Key{p.Contact}}
	m.add(p.System, p.TargetID)
	return m
}
