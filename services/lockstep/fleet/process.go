// Package fleet runs the services as processes of their own beside simulated
// systems, as an installation would, for programs that disturb or measure them.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one service, which is started again whenever it ends, as the
// supervisor of an installation does.
type Process struct {
	Name    string
	program string
	env     []string
	Probe   string // address of its health page
	Args    []string
	log     *os.File
	say     Speaker
	begun   bool // run was begun; of use to Start and Stop only, which follow each other

	mu       sync.Mutex // guards everything below
	running  *os.Process
	killed   bool // the present process was told to end by us
	starts   int
	byItself int           // ends that nobody here asked for
	last     error         // how the latest run ended
	ended    time.Duration // CPU time of the runs before the present one

	stopping chan struct{}
	stopped  chan struct{}
}

// NewProcess prepares a program with settings beside our own environment; its
// output goes to a file of its name in dir.
func NewProcess(dir, name, program string, env []string, say Speaker) (*Process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	return &Process{Name: name, program: program, env: env, log: log, say: say, stopping: make(chan struct{}), stopped: make(chan struct{})}, nil
}

// run keeps the process running until Stop. A child dies with the thread that
// made it, so that none outlives us: the thread is kept.
func (p *Process) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.stopped)
	for {
		command := exec.Command(p.program, p.Args...)
		command.Env = append(os.Environ(), p.env...)
		command.Stdout, command.Stderr = p.log, p.log
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		err := command.Start()
		if err == nil {
			p.mu.Lock()
			p.running, p.killed = command.Process, false
			p.starts++
			p.mu.Unlock()
			err = command.Wait()
			p.mu.Lock()
			asked := p.killed
			p.running, p.last = nil, err
			p.ended += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			if !asked {
				p.byItself++
			}
			p.mu.Unlock()
			if !asked {
				p.say("%s ended by itself (%v); last words: %s", p.Name, err, p.LastWords())
			}
		} else {
			p.say("%s did not start: %v", p.Name, err)
		}
		select {
		case <-p.stopping:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// LastWords is the last line that the program wrote.
func (p *Process) LastWords() string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

// Signal sends a signal to the present process; it reports whether there is one.
func (p *Process) Signal(signal syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return false
	}
	if signal == syscall.SIGKILL || signal == syscall.SIGTERM {
		p.killed = true
	}
	return p.running.Signal(signal) == nil
}

// Counts tells how often the program was started again, and how often it ended
// without being told to.
func (p *Process) Counts() (restarts, byItself int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.starts-1), p.byItself
}

// Stop ends the process for good. It gets a while to do so cleanly, which is
// with exit code 0; everything else is an error.
func (p *Process) Stop() error {
	defer p.log.Close()
	if !p.begun {
		return nil
	}
	close(p.stopping)
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.stopped:
	case <-time.After(20 * time.Second):
		p.Signal(syscall.SIGKILL)
		<-p.stopped
		return fmt.Errorf("%s did not end within 20 s of SIGTERM and was killed", p.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		return fmt.Errorf("%s ended with %w; last words: %s", p.Name, p.last, p.LastWords())
	}
	return nil
}

// StopAll ends processes side by side, and tells of all that did not end well.
func StopAll(processes []*Process) error {
	faults := make([]error, len(processes))
	var ending sync.WaitGroup
	for i, p := range processes {
		ending.Go(func() { faults[i] = p.Stop() })
	}
	ending.Wait()
	return errors.Join(faults...)
}

// Start begins to run the process; Stop ends it.
func (p *Process) Start() {
	p.begun = true
	go p.run()
}

// Ready reports what the health page says.
func (p *Process) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Probe+"/readyz", nil)
	if err != nil {
		return err
	}
	_, err = Send(request)
	return err
}

// Ports gives addresses below the range that the kernel gives to outgoing
// connections, which could take one while its server is down.
type Ports struct{ next int }

// Take gives a free port.
func (p *Ports) Take() (int, error) {
	for range 10_000 {
		p.next++
		port := 12_000 + (os.Getpid()*97+p.next)%18_000
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port between 12000 and 30000")
}
