package bus

import (
	"fmt"

	"lockstep.internal/pkg/contact"
	contactv1 "lockstep.internal/proto/contact/v1"
)

// EncodePatch makes the stored form of a patch that waits in a row.
func EncodePatch(p *contact.Patch) ([]byte, error) {
	message, err := encodePatch(p)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	raw, err := message.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	return raw, nil
}

// DecodePatch is the inverse of EncodePatch. The patch keeps parts of raw, which
// must not be written to any more.
func DecodePatch(raw []byte, system contact.System) (contact.Patch, error) {
	var message contactv1.PropertyPatch
	if err := message.UnmarshalVTUnsafe(raw); err != nil {
		return contact.Patch{}, fmt.Errorf("decode a patch: %w", err)
	}
	return decodePatch(&message, system)
}
