package hubspotsim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// journal is the append-only file of records. Lines are gathered and written
// in one write(2) per edit; the kernel keeps them when the process dies.
type journal struct {
	mu   sync.Mutex // guards both fields
	file *os.File   // nil keeps nothing
	buf  bytes.Buffer
	bad  error // the first record that could not be encoded
}

// add gathers a record.
func (j *journal) add(r *record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return
	}
	line, err := r.encode()
	if err != nil {
		j.bad = fmt.Errorf("encoding a %s record: %w", r.Op, err)
		return
	}
	j.buf.Write(line)
}

// write appends one record at once, apart from what is being gathered.
func (j *journal) write(r *record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	line, err := r.encode()
	if err != nil {
		return fmt.Errorf("encoding a %s record: %w", r.Op, err)
	}
	_, err = j.file.Write(line)
	return err
}

// flush writes what was gathered.
func (j *journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil || (j.buf.Len() == 0 && j.bad == nil) {
		return nil
	}
	err := j.bad
	if _, werr := j.file.Write(j.buf.Bytes()); werr != nil {
		err = errors.Join(err, werr)
	}
	j.bad = nil
	j.buf.Reset()
	return err
}

// readJournal calls f for every whole record. A last line that was torn by a
// kill is left out; an unreadable line before it is an error.
func readJournal(path string, f func(*record) error) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what follows the last line feed was torn
		}
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("line %d is not a journal record: %w: delete the file to start empty", n, err)
		}
		if err := f(&r); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}
