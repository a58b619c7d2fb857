package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/postgres/local"
	"lockstep.internal/services/lockstep/fleet"
)

// lease is how long a stage's lease lasts; who stands still for longer loses
// what it owns.
const lease = 15 * time.Second

// together bounds the faults at the same time.
const together = 4

// faults disturbs a world. Every kind comes up once before one comes up again.
type faults struct {
	world  *world
	random *rand.Rand

	mu     sync.Mutex // guards what follows
	busy   map[string]bool
	counts map[string]int
}

func newFaults(w *world, random *rand.Rand) *faults {
	return &faults{world: w, random: random, busy: make(map[string]bool), counts: make(map[string]int)}
}

// claim reserves a part for one fault at a time.
func (f *faults) claim(part string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[part] {
		return false
	}
	f.busy[part] = true
	return true
}

func (f *faults) release(part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, part)
}

func (f *faults) count(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind]++
}

// summary is what was done so far, by kind.
func (f *faults) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		parts = append(parts, fmt.Sprintf("%d × %s", f.counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// fault does one thing, and ends when all is as it was before; nil means that
// its part is busy. What is random is drawn before it is returned.
type fault func() (part string, do func(context.Context) error)

// run disturbs until ctx ends, and ends when all is as it was before.
func (f *faults) run(ctx context.Context, pause time.Duration) error {
	kinds := []fault{
		f.kill("mapper"), f.kill("writer"), f.kill("ingest"),
		f.freeze("mapper"), f.freeze("writer"), f.freeze("ingest"),
		f.node, f.node, f.postgres(false), f.postgres(true),
		f.cut("PostgreSQL"), f.cut("bus"), f.cut("services to"), f.cut("webhooks"),
		f.hold("PostgreSQL"), f.hold("bus"), f.hold("services to"), f.hold("webhooks"),
		f.slow("PostgreSQL"), f.slow("bus"), f.slow("services to"), f.slow("webhooks"),
	}
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for ctx.Err() == nil {
		f.random.Shuffle(len(kinds), func(i, k int) { kinds[i], kinds[k] = kinds[k], kinds[i] })
		for _, kind := range kinds {
			wait(ctx, time.Duration(f.random.Float64()*2*float64(pause)))
			if ctx.Err() != nil {
				break
			}
			part, do := kind()
			if !f.claim(part) {
				continue
			}
			group.Go(func() error {
				defer f.release(part)
				return do(ctx)
			})
		}
	}
	return group.Wait()
}

// between draws a time.
func (f *faults) between(least, most time.Duration) time.Duration {
	return least + time.Duration(f.random.Int64N(int64(most-least)))
}

// process draws a process of a kind.
func (f *faults) process(kind string) *fleet.Process {
	var fit []*fleet.Process
	for _, p := range f.world.processes {
		if strings.HasPrefix(p.Name, kind) {
			fit = append(fit, p)
		}
	}
	return fit[f.random.IntN(len(fit))]
}

// kill ends a process at once; its supervisor starts it again.
func (f *faults) kill(kind string) fault {
	return func() (string, func(context.Context) error) {
		p := f.process(kind)
		return p.Name, func(ctx context.Context) error {
			from := time.Now()
			if !p.Signal(syscall.SIGKILL) {
				return nil
			}
			f.world.say("killed %s", p.Name)
			f.count("SIGKILL of a " + kind)
			f.backAgain(ctx, p, from)
			return nil
		}
	}
}

// backAgain waits until a process is ready again, and notes what an ingest
// could not be told meanwhile.
func (f *faults) backAgain(ctx context.Context, p *fleet.Process, from time.Time) {
	const longest = 30 * time.Second
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	wait(waiting, 100*time.Millisecond)
	for waiting.Err() == nil && p.Ready(waiting) != nil {
		wait(waiting, 100*time.Millisecond)
	}
	if way := f.world.webhooksTo(p.Name); way != nil {
		way.lost(from, time.Now())
	}
}

// freeze stops a process for longer than its leases last, and lets it go on.
func (f *faults) freeze(kind string) fault {
	return func() (string, func(context.Context) error) {
		p, long := f.process(kind), f.between(lease+time.Second, lease+6*time.Second)
		return p.Name, func(ctx context.Context) error {
			from := time.Now()
			if !p.Signal(syscall.SIGSTOP) {
				return nil
			}
			f.world.say("stopped %s for %.1fs", p.Name, long.Seconds())
			f.count("SIGSTOP of a " + kind)
			wait(ctx, long)
			p.Signal(syscall.SIGCONT)
			f.world.say("%s goes on", p.Name)
			f.backAgain(ctx, p, from)
			return nil
		}
	}
}

// node stops one server of the bus and starts it again; the next one waits
// until its replicas have caught up.
func (f *faults) node() (string, func(context.Context) error) {
	w, i, long := f.world, f.random.IntN(nodes), f.between(time.Second, 8*time.Second)
	return "bus", func(ctx context.Context) error {
		w.say("stopping %s for %.1fs", w.busNodes[i].Name, long.Seconds())
		f.count("bus server restarted")
		w.stopNode(i)
		wait(ctx, long)
		for attempt := 1; ; attempt++ {
			err := w.startNode(ctx, i)
			if err == nil || attempt == 2 {
				return err
			}
			// What an operator would do with a server that stays unhealthy.
			w.say("BUS    %v: it is started again", err)
			f.count("bus server started again, since it was not healthy within a minute")
			w.stopNode(i)
		}
	}
}

// postgres restarts the database, after a clean stop or as after a crash.
func (f *faults) postgres(crash bool) fault {
	return func() (string, func(context.Context) error) {
		w, long := f.world, f.between(0, 6*time.Second)
		return "PostgreSQL", func(ctx context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 90*time.Second)
			defer cancel()
			kind := "fast"
			if crash {
				kind = "immediate"
				w.database.Abort()
			} else if err := w.database.Stop(ending); err != nil {
				return err
			}
			w.say("PostgreSQL stopped (%s) for %.1fs", kind, long.Seconds())
			f.count("PostgreSQL restarted (" + kind + ")")
			wait(ctx, long)
			server, err := local.Start(ending, w.pg)
			if err != nil {
				return err
			}
			w.database = server
			w.say("PostgreSQL is back")
			return nil
		}
	}
}

// way draws a way whose name has some text in it.
func (f *faults) way(text string) *link {
	var fit []*link
	for _, one := range f.world.links.all {
		if strings.Contains(one.name, " to "+text) || strings.HasPrefix(one.name, text) {
			fit = append(fit, one)
		}
	}
	return fit[f.random.IntN(len(fit))]
}

func (f *faults) cut(text string) fault {
	return func() (string, func(context.Context) error) {
		way, long := f.way(text), f.between(10*time.Millisecond, 5*time.Second)
		return way.name, func(ctx context.Context) error {
			f.world.say("cut for %.1fs: %s", long.Seconds(), way.name)
			f.count("way cut")
			return way.cut(ctx, long)
		}
	}
}

func (f *faults) hold(text string) fault {
	return func() (string, func(context.Context) error) {
		way, long := f.way(text), f.between(time.Second, 12*time.Second)
		return way.name, func(ctx context.Context) error {
			f.world.say("held for %.1fs: %s", long.Seconds(), way.name)
			f.count("way held")
			return way.hold(ctx, long)
		}
	}
}

func (f *faults) slow(text string) fault {
	return func() (string, func(context.Context) error) {
		way, long, latency := f.way(text), f.between(3*time.Second, 15*time.Second), f.between(10*time.Millisecond, 400*time.Millisecond)
		return way.name, func(ctx context.Context) error {
			f.world.say("slowed by %d ms for %.1fs: %s", latency.Milliseconds(), long.Seconds(), way.name)
			f.count("way slowed")
			return way.slow(ctx, long, latency)
		}
	}
}
