package api

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestEveryProcedureHasARule: one without is refused to everybody, and a rule
// without a procedure is a mistake. What reads is not written down, so that
// nothing else may be declared to read.
func TestEveryProcedureHasARule(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool)
	protoregistry.GlobalFiles.RangeFilesByPackage("console.v1", func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			if name := string(services.Get(i).FullName()); !slices.Contains(Prefixes(), "/"+name+"/") {
				t.Errorf("%s is not among the prefixes, so that the console does not serve it", name)
			}
			methods := services.Get(i).Methods()
			for k := range methods.Len() {
				procedure := "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(k).Name())
				found[procedure] = true
				if _, ok := needs[procedure]; !ok {
					t.Errorf("%s has no rule: say in guard.go who may call it", procedure)
				}
				options := methods.Get(k).Options().(*descriptorpb.MethodOptions)
				reads := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
				if methods.Get(k).IsStreamingServer() && !reads {
					t.Errorf("%s streams and changes something: the audit would not have it", procedure)
				}
				if name := string(methods.Get(k).Name()); reads && !slices.ContainsFunc([]string{"List", "Get", "Find", "Explain", "Preview", "Compare", "Watch", "Test", "WhoAmI"},
					func(verb string) bool { return strings.HasPrefix(name, verb) }) {
					t.Errorf("%s says that it changes nothing, and sounds as if it did", procedure)
				}
			}
		}
		return true
	})
	for procedure := range needs {
		if !found[procedure] {
			t.Errorf("%s is no procedure", procedure)
		}
	}
}
