package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lockstep.internal/pkg/contact"
)

// spoolRead is how much of the spool is read at once, whatever its size.
const spoolRead = 1 << 20

// delivery is one raw delivery of Aloware.
type delivery struct {
	Tenant     contact.Tenant `json:"tenant"`
	ReceivedAt time.Time      `json:"received_at"`
	Body       []byte         `json:"body"`
}

// spool keeps deliveries in a synced file, in the order of their arrival. It
// is emptied as a whole once all in it is published; a crash before that
// publishes some again, which their ids make harmless. Nothing of it is in
// memory, and to add never waits for what is read.
type spool struct {
	folder, path string
	logger       *slog.Logger
	more         chan struct{} // holds one token while there may be something

	mu      sync.Mutex
	file    *os.File
	size    int64 // bytes of whole lines; what follows them counts as nothing
	done    int64 // of them, published
	waiting int   // deliveries behind done
	oldest  time.Time
}

func openSpool(folder string, logger *slog.Logger) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool folder: %w", err)
	}
	s := &spool{folder: folder, path: filepath.Join(folder, "aloware.jsonl"), logger: logger, more: make(chan struct{}, 1)}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	s.file = file
	if err := s.recover(); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
}

// recover counts what a former process left, and cuts off what follows the
// last whole line: its delivery was never answered.
func (s *spool) recover() error {
	reader := bufio.NewReader(s.file)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		if s.waiting == 0 {
			s.oldest = parseDelivery(line).ReceivedAt
		}
		s.size += int64(len(line))
		s.waiting++
	}
	if err := s.file.Truncate(s.size); err != nil {
		return fmt.Errorf("cut the spool's torn end: %w", err)
	}
	folder, err := os.Open(s.folder)
	if err != nil {
		return fmt.Errorf("open the spool's folder: %w", err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil { // the file's name, too, must outlast a crash
		return fmt.Errorf("sync the spool's folder: %w", err)
	}
	if s.waiting > 0 {
		s.wake()
	}
	return nil
}

// entry is a line of the spool; delivery is of no tenant where it cannot be
// read.
type entry struct {
	line []byte
	delivery
}

func parseDelivery(line []byte) delivery {
	var d delivery
	if json.Unmarshal(line, &d) != nil {
		return delivery{}
	}
	return d
}

// add appends a delivery and syncs it to disk before it returns.
func (s *spool) add(d delivery) error {
	line, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
	}
	line = append(line, '\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := appendSynced(s.file, line, s.size); err != nil {
		return fmt.Errorf("write to the spool: %w", err)
	}
	s.size += int64(len(line))
	if s.waiting++; s.waiting == 1 {
		s.oldest = d.ReceivedAt
	}
	s.wake()
	return nil
}

// appendSynced writes at the end of a file. What could not be written whole is
// taken back.
func appendSynced(file *os.File, data []byte, at int64) error {
	_, err := file.WriteAt(data, at)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return errors.Join(err, file.Truncate(at))
	}
	return nil
}

// drain hands over the deliveries that were not published yet, in order, until
// one fails; after the last it empties the file. New deliveries may be added
// meanwhile. A line that cannot be read is put aside, into a file beside.
func (s *spool) drain(publish func(delivery) error) error {
	for {
		entries, err := s.next()
		if err != nil || len(entries) == 0 {
			return err
		}
		for i, e := range entries {
			if e.Tenant == "" {
				err = s.putAside(e.line)
			} else {
				err = publish(e.delivery)
			}
			if err != nil {
				s.wake()
				return err
			}
			s.mu.Lock()
			s.done += int64(len(e.line))
			s.waiting--
			if i+1 < len(entries) {
				s.oldest = entries[i+1].ReceivedAt
			}
			s.mu.Unlock()
		}
	}
}

// next reads some of what is not published; when all is, it empties the file.
func (s *spool) next() ([]entry, error) {
	s.mu.Lock()
	from, to := s.done, s.size
	if from == to {
		defer s.mu.Unlock()
		if to > 0 {
			if err := s.file.Truncate(0); err != nil {
				return nil, fmt.Errorf("empty the spool: %w", err)
			}
		}
		s.size, s.done, s.oldest = 0, 0, time.Time{}
		return nil, nil
	}
	s.mu.Unlock()
	var entries []entry
	reader := bufio.NewReader(io.NewSectionReader(s.file, from, to-from))
	for read := 0; read < spoolRead; {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the spool: %w", err)
		}
		entries = append(entries, entry{line, parseDelivery(line)})
		read += len(line)
	}
	return entries, nil
}

// putAside keeps a line that a disk or a person has spoilt, for a person.
func (s *spool) putAside(line []byte) error {
	path := filepath.Join(s.folder, "aloware.unreadable")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("put an unreadable delivery aside: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		err = appendSynced(file, line, info.Size())
	}
	if err != nil {
		return fmt.Errorf("put an unreadable delivery aside: %w", err)
	}
	s.logger.Error("a line of the spool cannot be read; it was put aside", "file", path, "bytes", len(line))
	return nil
}

// writable tells why the spool would not take a delivery now; nil if it would.
func (s *spool) writable() error {
	s.mu.Lock()
	_, err := s.file.Stat() // closed at the end of the process
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("look at the spool: %w", err)
	}
	probe, err := os.CreateTemp(s.folder, "probe-*")
	if err != nil {
		return fmt.Errorf("write beside the spool: %w", err)
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	if err := appendSynced(probe, bytes.Repeat([]byte{'\n'}, 16<<10), 0); err != nil {
		return fmt.Errorf("write beside the spool: %w", err)
	}
	return nil
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

func (s *spool) empty() bool {
	n, _ := s.depth()
	return n == 0
}

// depth is how many deliveries wait, and when the oldest of them came.
func (s *spool) depth() (int, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.oldest
}

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}
