package resolve

import "lockstep.internal/pkg/contact"

// Bar keeps the contact from being made in HubSpot: somebody with its number or
// e-mail was erased. It is still looked for there, as people may bring the
// person back.
func (j *Judge) Bar() { j.barred = true }

// mayCreate reports whether a contact may be made in a system.
func (j *Judge) mayCreate(system contact.System) bool {
	return j.rules.Creation.Into(system) && !(j.barred && system == contact.HubSpot)
}

// explainBar says why a contact that was looked for is not made.
func (j *Judge) explainBar() {
	side := j.state.Side(contact.HubSpot)
	if j.barred && side.Refused != nil && side.Refused.Reason == absent && j.rules.Creation.Into(contact.HubSpot) {
		side.Refused = refusal(absent, "somebody with this number or e-mail was erased: who wants the contact in HubSpot again makes it there")
	}
}
