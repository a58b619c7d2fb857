package api

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// TestEveryProcedureHasARule: one without is refused to everybody, and a rule
// without a procedure is a mistake.
func TestEveryProcedureHasARule(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool)
	protoregistry.GlobalFiles.RangeFilesByPackage("console.v1", func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for k := range methods.Len() {
				procedure := "/" + string(services.Get(i).FullName()) + "/" + string(methods.Get(k).Name())
				found[procedure] = true
				if _, ok := needs[procedure]; !ok {
					t.Errorf("%s has no rule: say in guard.go who may call it", procedure)
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
