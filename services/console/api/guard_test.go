package api_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/api"
)

// call makes a call as any program would, and gives the code of its refusal; ""
// for none. A stream's request and answers have a head of five bytes, and the
// last of them tells the error.
func (e *env) call(procedure string, streams bool, body []byte, token string) string {
	e.t.Helper()
	kind := "application/json"
	if streams {
		kind = "application/connect+json"
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	}
	r, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.url+procedure, bytes.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	var told struct {
		Code  string
		Error struct{ Code string }
	}
	if streams && answer.StatusCode == http.StatusOK {
		if len(text) < 5 || text[0]&2 == 0 {
			return "" // something else came before an error
		}
		text = text[5:]
	}
	if err := json.Unmarshal(text, &told); err != nil {
		e.t.Fatalf("%s is answered %d %q: %v", procedure, answer.StatusCode, text, err)
	}
	return told.Code + told.Error.Code
}

// TestEveryCallIsGuarded makes each call that the descriptors have, unary and
// streaming: without a token, with one that is nobody's, as the operator of
// another tenant, and with the role just below the one that is needed. The role
// that is needed, in the very tenant, is enough.
func TestEveryCallIsGuarded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	tokens := make(map[string]string)
	_, tokens["stranger"] = e.token("stranger", "beta=operator")
	for role := access.Viewer; role <= access.Operator; role++ {
		_, tokens[role.String()] = e.token(role.String(), "acme="+role.String())
	}
	calls, streaming := 0, 0
	protoregistry.GlobalFiles.RangeFilesByPackage("console.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				method := methods.Get(k)
				procedure := "/" + string(file.Services().Get(i).FullName()) + "/" + string(method.Name())
				calls++
				if method.IsStreamingServer() {
					streaming++
				}
				kind, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
				if err != nil {
					t.Fatal(err)
				}
				request, body := kind.New(), []byte("{}")
				field := method.Input().Fields().ByName("tenant")
				named := field != nil
				if named {
					request.Set(field, protoreflect.ValueOfString("acme"))
					body = []byte(`{"tenant": "acme"}`)
				}
				refused := func(who, token, want string) {
					t.Helper()
					if got := e.call(procedure, method.IsStreamingServer(), body, token); got != want {
						t.Errorf("%s by %s is answered %q, want %q", procedure, who, got, want)
					}
				}
				refused("nobody", "", "unauthenticated")
				refused("an unknown token", "lockstep_nothing", "unauthenticated")
				role, anywhere := api.Needed(procedure)
				if role == 0 {
					continue // whoever is recognised
				}
				if named || !anywhere {
					refused("another tenant's operator", tokens["stranger"], "permission_denied")
				}
				if !named && !anywhere {
					refused("one tenant's operator", tokens["operator"], "permission_denied")
				} else if below := role - 1; below >= access.Viewer {
					refused("a "+below.String(), tokens[below.String()], "permission_denied")
				}
				enough := access.Caller{Name: "enough", Tenants: map[contact.Tenant]access.Role{"acme": role}}
				if !named && !anywhere {
					enough = access.Caller{Name: "enough", Everywhere: role}
				}
				if err := api.Allow(access.With(t.Context(), enough), procedure, request.Interface().(proto.Message)); err != nil {
					t.Errorf("%s is refused to a %s: %v", procedure, role, err)
				}
			}
		}
		return true
	})
	if calls < 50 || streaming < 3 {
		t.Errorf("%d calls were made, %d of them streaming", calls, streaming)
	}
	if err := api.Allow(access.With(t.Context(), access.Caller{Name: "boss", Everywhere: access.Operator}), "/console.v1.TenantService/Nothing", nil); err == nil {
		t.Error("a call that is not in the table is allowed")
	}
}
