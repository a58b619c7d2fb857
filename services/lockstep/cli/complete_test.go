package cli

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

type twoTenants struct {
	consolev1connect.UnimplementedTenantServiceHandler
}

func (twoTenants) ListTenants(context.Context, *consolev1.ListTenantsRequest) (*consolev1.ListTenantsResponse, error) {
	return &consolev1.ListTenantsResponse{Tenants: []*consolev1.Tenant{{Tenant: "acme", Name: "Acme"}, {Tenant: "other", Name: "Other"}}}, nil
}

// TestShellsComplete commands, choices of flags, and the tenants of the console
// that a command asks.
func TestShellsComplete(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle(consolev1connect.NewTenantServiceHandler(twoTenants{}))
	server := httptest.NewServer(mux)
	defer server.Close()
	for typed, want := range map[string]string{
		"mapping se": "set\t", "mapping set --direction ": "to_hubspot", "tenant list --output ": "json",
		"mapping show ac": "acme\tAcme", "contact find ": "other\tOther", "audit a": "acme\tAcme", "sync pause o": "other\tOther", "hold list ": "acme\tAcme",
		"mapping show acme ": "", "mapping show x": "",
	} {
		root := &cobra.Command{Use: "lockstep", SilenceErrors: true}
		new(CLI).Add(root)
		root.SetArgs(append([]string{cobra.ShellCompRequestCmd, "--server=" + server.URL, "--token=t"}, strings.Split(typed, " ")...))
		var out strings.Builder
		root.SetOut(&out)
		root.SetErr(new(strings.Builder))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
		got := out.String()
		if want != "" && !strings.Contains(got, want) || want == "" && strings.Contains(got, "\t") {
			t.Errorf("%q is completed with %q, want %q", typed, got, want)
		}
	}
}

// TestEveryCallHasACommand: what the API does, some command does.
func TestEveryCallHasACommand(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				called[s.Sel.Name] = true
			}
			return true
		})
	}
	calls := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("console.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if calls++; !called[string(methods.Get(j).Name())] {
					t.Errorf("no command calls %s", methods.Get(j).FullName())
				}
			}
		}
		return true
	})
	if calls < 50 {
		t.Errorf("%d calls are known, want all of the API", calls)
	}
}
