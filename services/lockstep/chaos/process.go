package chaos

import (
	"context"
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

// process is one service, which is started again whenever it ends, as the
// supervisor of an installation does.
type process struct {
	name    string
	program string
	env     []string
	probe   string // address of its health page
	log     *os.File
	say     speaker

	mu       sync.Mutex // guards everything below
	running  *os.Process
	killed   bool // the present process was told to end by us
	starts   int
	byItself int // ends that nobody here asked for

	stopping chan struct{}
	stopped  chan struct{}
}

func newProcess(dir, name, program string, env []string, say speaker) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	return &process{name: name, program: program, env: env, log: log, say: say, stopping: make(chan struct{}), stopped: make(chan struct{})}, nil
}

// run keeps the process running until stop. A child dies with the thread that
// made it, so that none outlives us: the thread is kept.
func (p *process) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.stopped)
	for {
		command := exec.Command(p.program)
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
			p.running = nil
			if !asked {
				p.byItself++
			}
			p.mu.Unlock()
			if !asked {
				p.say("%s ended by itself (%v); last words: %s", p.name, err, p.lastWords())
			}
		} else {
			p.say("%s did not start: %v", p.name, err)
		}
		select {
		case <-p.stopping:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *process) lastWords() string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return lines[len(lines)-1]
}

// signal sends a signal to the present process; it reports whether there is one.
func (p *process) signal(signal syscall.Signal) bool {
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

func (p *process) counts() (restarts, byItself int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.starts-1), p.byItself
}

// stop ends the process for good; it gets a while to do so cleanly.
func (p *process) stop() {
	close(p.stopping)
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.stopped:
	case <-time.After(20 * time.Second):
		p.say("%s did not end within 20 s of SIGTERM and was killed", p.name)
		p.signal(syscall.SIGKILL)
		<-p.stopped
	}
	p.log.Close()
}

// ready reports what the health page says.
func (p *process) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probe+"/readyz", nil)
	if err != nil {
		return err
	}
	_, err = send(request)
	return err
}

// ports gives addresses below the range that the kernel gives to outgoing
// connections, which could take one while its server is down.
type ports struct{ next int }

func (p *ports) take() (int, error) {
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
