package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"lockstep.internal/services/console/mappings"
)

// previewWait bounds how long a page that cannot show progress waits for a
// preview; what is not looked at by then is said.
const previewWait = 45 * time.Second

// previewed is what a preview found, for people.
type previewed struct {
	mappings.Preview
	Labels  map[string]string
	Words   mappings.Words // of the values
	Partial bool           // not all contacts were looked at
	Running bool           // more is found
}

// previewMapping works out what the draft would write: while it is found for a
// page that asks for a stream, else all at once.
func (p *Pages) previewMapping(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	edits, err := d.edits()
	if err != nil {
		return nil, err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return p.previewEvents(r, d, edits), nil
	}
	view := previewed{}
	waiting, cancel := context.WithTimeout(ctx, previewWait)
	defer cancel()
	heard := false
	err = p.Mappings.Preview(waiting, tenantOf(r), d.BasedOn, edits, func(part mappings.Preview) error {
		view.Preview, heard = part, true
		return nil
	})
	switch {
	case err != nil && heard && waiting.Err() != nil && ctx.Err() == nil:
		view.Partial = true
	case err != nil:
		return nil, err
	}
	if view.Words, err = p.Mappings.Words(ctx, tenantOf(r)); err != nil {
		return nil, err
	}
	p.labelled(r, &view)
	return page{name: "preview", title: "Preview", data: view}, nil
}

// previewEvents streams a preview: "part" is what is found so far, "whole" what
// is found in the end, "failed" why there is none. It ends with the request, and
// with it all work for it.
func (p *Pages) previewEvents(r *http.Request, d draft, edits []mappings.Edit) answer {
	return stream(func(ctx context.Context, send func(event, data string) error) error {
		words, err := p.Mappings.Words(ctx, tenantOf(r))
		if err != nil {
			return err
		}
		show := func(event string, view previewed) error {
			view.Words = words
			p.labelled(r, &view)
			html, err := p.rendered(r, part{name: "mapping", block: "preview", data: view})
			if err != nil {
				return err
			}
			return send(event, html)
		}
		if err := show("part", previewed{Running: true}); err != nil {
			return err
		}
		var last previewed
		err = p.Mappings.Preview(ctx, tenantOf(r), d.BasedOn, edits, func(part mappings.Preview) error {
			last = previewed{Preview: part, Running: true}
			return show("part", last)
		})
		switch {
		case ctx.Err() != nil && r.Context().Err() != nil:
			return nil // nobody looks any more
		case err != nil && ctx.Err() != nil && last.Looked > 0:
			last.Partial = true
		case err != nil:
			words := told(err)
			if words == nil {
				p.Logger.ErrorContext(ctx, "a preview failed", "tenant", tenantOf(r), "error", err)
				words = &problem{message: "The preview could not be worked out just now; the operators' log says why. Try again."}
			}
			return send("failed", words.message)
		}
		last.Running = false
		return show("whole", last)
	})
}

// labelled gives a preview the names of its fields.
func (p *Pages) labelled(r *http.Request, view *previewed) {
	view.Labels = make(map[string]string)
	for _, difference := range view.Differences {
		view.Labels[difference.Key] = difference.Label
	}
	if t, ok := p.Roster.Tenant(tenantOf(r)); ok {
		for i := range t.Mapping.Mappings {
			view.Labels[t.Mapping.Mappings[i].Key] = t.Mapping.Mappings[i].Label()
		}
	}
}
