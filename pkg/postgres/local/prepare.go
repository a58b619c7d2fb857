package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// binaries finds the folder with initdb and postgres: PATH, then the places of
// Debian (the newest version) and of a build from source.
func binaries() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if has(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(found, "/usr/local/pgsql/bin", "/opt/homebrew/bin") {
		if has(dir) {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server is installed: apt-get install postgresql, or set DATABASE_URL to one that runs")
}

func has(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// account is whom the server runs as; nil is ourselves.
type account struct {
	uid, gid int
	name     string
}

// serverAccount chooses the account: PostgreSQL refuses to run as root.
func serverAccount() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			return &account{uid: uid, gid: gid, name: name}, nil
		}
	}
	return nil, errors.New("local postgres: PostgreSQL does not run as root, and there is no account postgres or nobody to run it as; set DATABASE_URL")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// prepare makes the folder and checks that the server's account gets there.
func prepare(dir string, a *account) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("local postgres: make the data folder: %w", err)
	}
	if err := a.own(dir); err != nil {
		return fmt.Errorf("local postgres: give the data folder to %s: %w", a.name, err)
	}
	if a == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("local postgres: %w", err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); info.Mode().Perm()&0o001 == 0 && ok && int(owner.Uid) != a.uid {
			return fmt.Errorf("local postgres runs as %s, which may not enter %s: choose another data folder (LOCKSTEP_DATA), or chmod o+x %s", a.name, parent, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// lockFolder keeps a second process from the same data.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local postgres: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another process runs PostgreSQL in %s: stop it, or choose another data folder (LOCKSTEP_DATA)", dir)
	}
	return file, nil
}

// initialise makes the data once, whole or not at all.
func initialise(ctx context.Context, bin, data, owner string, a *account) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	draft := data + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("local postgres: remove an unfinished start: %w", err)
	}
	command := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", draft, "-U", owner, "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync")
	command.Dir = filepath.Dir(data)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("local postgres: initdb: %w: %s", err, out)
	}
	if err := os.Rename(draft, data); err != nil {
		return fmt.Errorf("local postgres: %w", err)
	}
	return nil
}

// socketFolder is a folder with a short name (a socket's path may have 107
// bytes) that only we and the server may enter.
func socketFolder(dir string, a *account) (string, error) {
	socket := filepath.Join(dir, "socket")
	const longest = 80
	if len(socket) > longest {
		short, err := os.MkdirTemp("", "lockstep-pg-")
		if err != nil {
			return "", fmt.Errorf("local postgres: make a folder for the socket: %w", err)
		}
		socket = short
	}
	if err := os.MkdirAll(socket, 0o700); err != nil {
		return "", fmt.Errorf("local postgres: make a folder for the socket: %w", err)
	}
	if err := a.own(socket); err != nil {
		return "", fmt.Errorf("local postgres: give the socket's folder to %s: %w", a.name, err)
	}
	return socket, nil
}
