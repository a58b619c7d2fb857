package stage

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
)

// mostAhead is how many batches of the leading stream go ahead of another one that
// waits for the same people.
const mostAhead = 7

// Claim is what one batch works on. The leading stream's batches run beside the others',
// which take turns: what nobody waits for shall not have all the processors at once. Those
// about the same people run one after another, the leading stream's next. The nil Claim is
// of a batch that is alone.
type Claim struct {
	claims  *claims
	leads   bool
	refs    map[contact.Ref]bool
	whole   map[contact.Tenant]bool // tenants of which it has everything
	tenants map[contact.Tenant]bool // those of refs
	past    map[contact.Ref]bool    // what others gave back since the batch began to read
	waits   bool
	passed  int // batches of the leading stream that went ahead
}

// Take waits until no other batch of the partition works on any of refs, and has them
// from then on until the batch is stored. A reference with nothing but a tenant stands
// for all of that tenant.
//
// What a batch has it may lose while it waits for more, so that no two wait for each
// other: where stale is true, what was read before Take may be out of date, and the batch
// must begin again, with all that it has asked for. So it must where another batch has
// stored something about refs since this one began. An error is ctx's.
func (c *Claim) Take(ctx context.Context, refs ...contact.Ref) (stale bool, err error) {
	if c == nil {
		return false, nil
	}
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	began := len(c.refs)+len(c.whole) > 0
	more := c.add(refs)
	defer func() {
		if stale {
			clear(c.past)
		}
	}()
	if began && (len(more.refs)+len(more.whole) == 0 || c.claims.free(more, c)) {
		return more.touches(c.past), nil
	}
	if !began && c.claims.next(c) {
		return more.touches(c.past), nil
	}
	c.waits = true
	defer func() { c.waits = false }()
	for c.claims.changed(); !c.claims.next(c); {
		waiting := c.claims.change
		c.claims.mu.Unlock()
		select {
		case <-waiting:
		case <-ctx.Done():
		}
		c.claims.mu.Lock()
		if err := ctx.Err(); err != nil {
			return true, err
		}
	}
	return true, nil
}

// Has reports whether a batch has a reference already.
func (c *Claim) Has(ref contact.Ref) bool {
	return c == nil || c.refs[ref] || c.whole[ref.Tenant]
}

// add adds what a claim has not yet, and gives it as a claim of its own.
func (c *Claim) add(refs []contact.Ref) *Claim {
	more := newClaim(c.claims, c.leads)
	for _, ref := range refs {
		switch whole := ref == (contact.Ref{Tenant: ref.Tenant}); {
		case c.Has(ref):
		case whole:
			c.whole[ref.Tenant], more.whole[ref.Tenant] = true, true
		default:
			c.refs[ref], c.tenants[ref.Tenant] = true, true
			more.refs[ref], more.tenants[ref.Tenant] = true, true
		}
	}
	return more
}

// meets reports whether two claims have something in common.
func (c *Claim) meets(other *Claim) bool {
	for tenant := range c.whole {
		if other.whole[tenant] || other.tenants[tenant] {
			return true
		}
	}
	for tenant := range other.whole {
		if c.tenants[tenant] {
			return true
		}
	}
	few, many := c.refs, other.refs
	if len(few) > len(many) {
		few, many = many, few
	}
	for ref := range few {
		if many[ref] {
			return true
		}
	}
	return false
}

// touches reports whether a claim has to do with one of some references.
func (c *Claim) touches(refs map[contact.Ref]bool) bool {
	for ref := range refs {
		whole := ref == (contact.Ref{Tenant: ref.Tenant})
		if c.refs[ref] || c.whole[ref.Tenant] || whole && c.tenants[ref.Tenant] {
			return true
		}
	}
	return false
}

// claims are those of one partition's batches: one of the leading stream, and one of all
// others. It is made by newClaims.
type claims struct {
	others chan struct{} // holds a token while a batch of another stream than the leading one runs

	mu     sync.Mutex
	change chan struct{} // closed when one was given back or waits
	all    []*Claim
}

func newClaims() *claims {
	return &claims{others: make(chan struct{}, 1), change: make(chan struct{})}
}

func newClaim(of *claims, leads bool) *Claim {
	return &Claim{claims: of, leads: leads, past: make(map[contact.Ref]bool), refs: make(map[contact.Ref]bool), whole: make(map[contact.Tenant]bool), tenants: make(map[contact.Tenant]bool)}
}

// begin gives a batch a claim to nothing when its stream may have one, to be given back
// in the end. An error is ctx's.
func (s *claims) begin(ctx context.Context, leads bool) (*Claim, error) {
	if !leads {
		select {
		case s.others <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newClaim(s, leads)
	s.all = append(s.all, c)
	return c, nil
}

// rest waits for the end of a batch of another stream than the leading one, for some time
// at most. It reports whether there was one.
func (s *claims) rest(ctx context.Context, atMost time.Duration) bool {
	select {
	case s.others <- struct{}{}:
		<-s.others
		return false
	default:
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case s.others <- struct{}{}:
		<-s.others
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// give gives a claim back; giving it back again does nothing.
func (s *claims) give(c *Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.all, c)
	if i < 0 {
		return
	}
	s.all = slices.Delete(s.all, i, i+1)
	for _, other := range s.all {
		maps.Copy(other.past, c.refs)
		for tenant := range c.whole {
			other.past[contact.Ref{Tenant: tenant}] = true
		}
	}
	s.changed()
	if !c.leads {
		<-s.others
	}
}

func (s *claims) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// free reports whether no batch at work has what a claim asks for, but for one of
// which it is a part.
func (s *claims) free(c, whole *Claim) bool {
	return !slices.ContainsFunc(s.all, func(other *Claim) bool { return other != whole && !other.waits && c.meets(other) })
}

// next reports whether a batch that has nothing may begin: nobody works on what it asks
// for, and no other waits for it that comes first, which is the leading stream's as long
// as it has not gone ahead too often.
func (s *claims) next(c *Claim) bool {
	if !s.free(c, c) {
		return false
	}
	for _, other := range s.all {
		if other == c || !other.waits || !c.meets(other) {
			continue
		}
		if c.leads && other.passed < mostAhead {
			other.passed++
		} else if c.leads || c.passed < mostAhead {
			return false
		}
	}
	return true
}
