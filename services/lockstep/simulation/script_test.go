package simulation

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lockstep.internal/services/mapper/resolve"
)

// TestKeptSchedulesHold plays every script of testdata: each once broke an
// invariant.
func TestKeptSchedulesHold(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := ParseScript(string(raw))
			if err != nil {
				t.Fatal(err)
			}
			if _, failure := Run(script); failure != nil {
				t.Errorf("%s\n%s", failure, Trace(script))
			}
		})
	}
}

// TestAScriptIsItsText, so that what a seed makes can be kept and played again.
func TestAScriptIsItsText(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		script := Generate(seed)
		again, err := ParseScript(script.String())
		if err != nil || again.String() != script.String() {
			t.Fatalf("seed %d: %v\n%s\nbecame\n%s", seed, err, script, again)
		}
		one, _ := Run(script)
		two, _ := Run(again)
		if one != two {
			t.Fatalf("seed %d: %+v, played again %+v", seed, one, two)
		}
	}
	for _, bad := range []string{"jump 1", "wait one two", "edit first_name hubspot 1"} {
		if _, err := ParseScript(bad); err == nil {
			t.Errorf("%q was taken for a script", bad)
		}
	}
}

// TestACopiedStateSharesNothing, else a decision that was never stored would
// show in what is.
func TestACopiedStateSharesNothing(t *testing.T) {
	t.Parallel()
	checked := 0
	for seed := range uint64(40) {
		w := newWorld()
		w.play(Generate(seed))
		for _, e := range w.mapper.contacts {
			copied := clone(e.state)
			if !reflect.DeepEqual(copied, e.state) {
				t.Fatalf("seed %d: %s is another after copying", seed, e.key)
			}
			shares(t, reflect.ValueOf(e.state), reflect.ValueOf(copied), "state")
			checked++
		}
	}
	shares(t, reflect.ValueOf(&resolve.State{}), reflect.ValueOf(clone(&resolve.State{})), "state")
	if checked == 0 {
		t.Error("no state was copied")
	}
}

// shares fails where two values share memory that can be written.
func shares(t *testing.T, a, b reflect.Value, path string) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if a.IsNil() || a.Kind() != reflect.Pointer && a.Len() == 0 {
			return
		}
		if a.Pointer() == b.Pointer() {
			t.Fatalf("%s is shared", path)
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		shares(t, a.Elem(), b.Elem(), path)
	case reflect.Struct:
		for i := range a.NumField() {
			shares(t, a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name)
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			shares(t, a.MapIndex(key), b.MapIndex(key), path+"["+key.String()+"]")
		}
	case reflect.Slice:
		for i := range a.Len() {
			shares(t, a.Index(i), b.Index(i), path+"[]")
		}
	}
}
