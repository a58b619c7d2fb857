package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"lockstep.internal/pkg/contact"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
	"lockstep.internal/services/console/access"
)

// changes reports whether a procedure changes something: whatever is not
// declared to have no side effects.
func changes(spec connect.Spec) bool {
	return spec.IdempotencyLevel != connect.IdempotencyNoSideEffects
}

// record writes the audit's entry of a request that is about to change
// something. Without an entry nothing is changed. Whoever is not allowed to make
// the request learns nothing of contacts by it, and leaves no name of one.
func (g *guard) record(ctx context.Context, procedure string, request any, allowed bool) (*access.Recording, error) {
	entry := access.Entry{Action: procedure[strings.LastIndexByte(procedure, '/')+1:]}
	if message, ok := request.(proto.Message); ok {
		entry.Tenant = concerns(message)
		if name, whom, about := subject(message); !about {
			entry.Object = object(message)
		} else if allowed {
			entry.Subject, entry.Erases = g.people.Key(ctx, entry.Tenant, name, whom), procedure == consolev1connect.ContactServiceEraseContactProcedure
		}
		var err error
		if entry.Detail, err = redacted(message); err != nil {
			return nil, err
		}
	}
	recording, err := g.access.Record(ctx, entry)
	if err != nil {
		g.logger.ErrorContext(ctx, "a change was refused, because the audit could not be written", "procedure", procedure, "error", err)
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the audit could not be written, so nothing was changed; try again"))
	}
	return recording, nil
}

// concerns is the tenant that a request is about; "" for the installation.
// Roles that are all of one tenant are about that one.
func concerns(message proto.Message) contact.Tenant {
	if tenant, named := tenantOf(message); named {
		return tenant
	}
	granting, ok := message.(interface{ GetRoles() []*consolev1.RoleGrant })
	if !ok || len(granting.GetRoles()) == 0 {
		return ""
	}
	tenant := granting.GetRoles()[0].GetTenant()
	for _, g := range granting.GetRoles() {
		if g.GetTenant() != tenant || contact.Tenant(tenant) == access.Everywhere {
			return ""
		}
	}
	return contact.Tenant(tenant)
}

// objects are the fields that name what a request is about.
var objects = []protoreflect.Name{"login", "app_id", "id", "name"}

func object(message proto.Message) string {
	m := message.ProtoReflect()
	for _, name := range objects {
		field := m.Descriptor().Fields().ByName(name)
		if field != nil && !field.IsList() && field.Message() == nil && m.Has(field) {
			return m.Get(field).String()
		}
	}
	return ""
}

// subject is the contact that a request is about, by a name of any kind or by an
// id in a system; false for a request about none. A filter names one, too.
func subject(message proto.Message) (name string, whom contact.ID, about bool) {
	if filtered, ok := message.(interface {
		GetFilter() *consolev1.ProblemFilter
	}); ok {
		name = filtered.GetFilter().GetContact()
		return name, whom, name != ""
	}
	named, ok := message.(interface{ GetContact() string })
	if !ok {
		return "", whom, false
	}
	if name = named.GetContact(); name != "" {
		return name, whom, true
	}
	if known, ok := message.(interface{ GetSystem() string }); ok {
		whom.System, _ = contact.ParseSystem(known.GetSystem()) // another word finds nobody
	}
	if known, ok := message.(interface{ GetId() string }); ok && whom.System != 0 {
		whom.ID = known.GetId()
	}
	return "", whom, true
}

// personal are the fields that may say who a contact is, in a message that names
// one.
var personal = map[protoreflect.Name]bool{"contact": true, "id": true, "query": true, "value": true}

// redacted is a request as JSON, without secrets, and without what says who a
// contact is.
func redacted(message proto.Message) (json.RawMessage, error) {
	clean := proto.Clone(message)
	redact(clean.ProtoReflect())
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(clean)
	return raw, err
}

// redact takes secrets out of a message and all within, and persons.
func redact(m protoreflect.Message) {
	person := m.Descriptor().Fields().ByName("contact") != nil
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case person && personal[field.Name()]:
			m.Clear(field)
		case secret(field):
			m.Clear(field)
			if field.Kind() == protoreflect.StringKind && field.Cardinality() != protoreflect.Repeated {
				m.Set(field, protoreflect.ValueOfString("[secret]"))
			}
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				redact(v.Message())
				return true
			})
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				redact(value.List().Get(i).Message())
			}
		default:
			redact(value.Message())
		}
		return true
	})
}

// secret reports whether a field must not be kept: one that says so
// (debug_redact), and one whose name does.
func secret(field protoreflect.FieldDescriptor) bool {
	if options, ok := field.Options().(*descriptorpb.FieldOptions); ok && options.GetDebugRedact() {
		return true
	}
	if field.Kind() != protoreflect.StringKind && field.Kind() != protoreflect.BytesKind {
		return false
	}
	name := string(field.Name())
	for _, word := range []string{"secret", "password", "token", "credential", "private_key", "api_key"} {
		if strings.Contains(name, word) && name != "page_token" {
			return true
		}
	}
	return false
}
