//go:build unix

// Package npmtest gives tests a package of the npm registry, installed once
// into the user's cache folder.
package npmtest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Install gives a folder whose node_modules holds a package at exactly a
// version. Parallel runs wait for each other at a lock file.
func Install(t testing.TB, name, version string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on the PATH: install the package nodejs (version 20 or newer, with npm), then run the test again", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("no user cache directory for npm packages: %v: set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "lockstep", "npm-"+strings.Trim(strings.ReplaceAll(name, "/", "-"), "@"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close() // gives the lock up as well
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("locking %s: %v", lock.Name(), err)
	}
	if installed(dir, name, version) {
		return dir
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"lockstep-test","private":true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-save", name+"@"+version)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install %s@%s in %s: %v: check the network and npm's own settings:\n%s", name, version, dir, err, out)
	}
	if !installed(dir, name, version) {
		t.Fatalf("npm install %s@%s left nothing in %s: delete the folder and run the test again", name, version, dir)
	}
	return dir
}

func installed(dir, name, version string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, "node_modules", filepath.FromSlash(name), "package.json"))
	var p struct{ Version string }
	return err == nil && json.Unmarshal(raw, &p) == nil && p.Version == version
}
