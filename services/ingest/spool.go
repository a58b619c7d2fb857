package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
)

// delivery is one raw delivery of Aloware.
type delivery struct {
	Tenant     contact.Tenant `json:"tenant"`
	ReceivedAt time.Time      `json:"received_at"`
	Body       []byte         `json:"body"`
}

// spool keeps deliveries in a synced file, in the order of their arrival. It
// is emptied as a whole: the file is removed once all in it is published, and
// a crash in between publishes some again, which their ids make harmless.
type spool struct {
	path string
	more chan struct{} // holds one token while there may be something

	mu    sync.Mutex
	file  *os.File
	lines int   // deliveries in the file
	done  int   // of them, published
	size  int64 // good bytes: what follows is a torn line
}

func openSpool(folder string) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool folder: %w", err)
	}
	s := &spool{path: filepath.Join(folder, "aloware.jsonl"), more: make(chan struct{}, 1)}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	s.file = file
	if err := s.scan(func(delivery) error { s.lines++; return nil }); err != nil {
		file.Close()
		return nil, err
	}
	if err := file.Truncate(s.size); err != nil {
		file.Close()
		return nil, fmt.Errorf("cut the spool's torn end: %w", err)
	}
	if s.lines > 0 {
		s.more <- struct{}{}
	}
	return s, nil
}

// scan reads all whole lines and sets size to their end.
func (s *spool) scan(each func(delivery) error) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	reader := bufio.NewReader(s.file)
	s.size = 0
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		var d delivery
		if err := json.Unmarshal(line, &d); err != nil {
			return nil // torn by a crash before its delivery was answered
		}
		if err := each(d); err != nil {
			return err
		}
		s.size += int64(len(line))
	}
}

// add appends a delivery and syncs it to disk before it returns.
func (s *spool) add(d delivery) error {
	line, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.file.WriteAt(append(line, '\n'), s.size); err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync the spool: %w", err)
	}
	s.size += int64(len(line)) + 1
	s.lines++
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// drain hands over the deliveries that were not published yet, in order, until
// one fails; after the last it empties the file. New deliveries may be added
// meanwhile.
func (s *spool) drain(publish func(delivery) error) error {
	for {
		pending, err := s.pending()
		if err != nil || len(pending) == 0 {
			return err
		}
		for _, d := range pending {
			if err := publish(d); err != nil {
				s.wake()
				return err
			}
			s.mu.Lock()
			s.done++
			s.mu.Unlock()
		}
	}
}

// pending reads what is not published; when all is, it empties the file.
func (s *spool) pending() ([]delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == s.lines {
		if s.lines > 0 {
			if err := s.file.Truncate(0); err != nil {
				return nil, fmt.Errorf("empty the spool: %w", err)
			}
			s.lines, s.done, s.size = 0, 0, 0
		}
		return nil, nil
	}
	var all []delivery
	if err := s.scan(func(d delivery) error { all = append(all, d); return nil }); err != nil {
		return nil, err
	}
	return all[min(s.done, len(all)):], nil
}

func (s *spool) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// wait returns when there may be something to drain, or when ctx ends.
func (s *spool) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.more:
		return nil
	}
}

func (s *spool) empty() bool { return s.count() == 0 }

func (s *spool) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines - s.done
}

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file.Close()
}
