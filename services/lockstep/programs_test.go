package lockstep_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built are the programs as they are shipped, without the race detector that
// this test binary may have. The first test that asks for one has them built;
// TestMain removes them.
var built struct {
	sync.Once
	dir string
	err error
}

// program is the path of a program as it is shipped.
func program(t testing.TB, name string) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "lockstep-programs-"); built.err != nil {
			return
		}
		arguments := []string{"build", "-race=false", "-buildvcs=false", "-o", built.dir + "/"}
		for _, service := range []string{"lockstep", "ingest", "mapper", "writer", "console"} {
			arguments = append(arguments, root+"services/"+service+"/cmd/"+service)
		}
		if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}
