package bus

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"lockstep.internal/pkg/contact"
	contactv1 "lockstep.internal/proto/contact/v1"
)

// EncodePatch makes the stored form of a patch that waits in a row.
func EncodePatch(p *contact.Patch) ([]byte, error) {
	message, err := encodePatch(p)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	return raw, nil
}

// DecodePatch is the inverse of EncodePatch.
func DecodePatch(raw []byte, system contact.System) (contact.Patch, error) {
	var message contactv1.PropertyPatch
	if err := proto.Unmarshal(raw, &message); err != nil {
		return contact.Patch{}, fmt.Errorf("decode a patch: %w", err)
	}
	return decodePatch(&message, system)
}
