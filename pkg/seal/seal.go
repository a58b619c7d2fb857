// Package seal encrypts credentials before they are stored. The key comes from
// the environment or from a file that is made on first use; Tink does the
// cryptography.
package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Sealer seals and opens texts. It is safe for concurrent use.
type Sealer struct{ aead tink.AEAD }

// FromText makes a sealer of a keyset: base64 of Tink's binary form, as NewKey
// prints it, or of its JSON form, as tinkey writes it in clear. A keyset may
// hold former keys beside the primary one, to open what they sealed.
func FromText(text string) (*Sealer, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("seal: the key is not base64: make one with lockstep new-key")
	}
	var reader keyset.Reader = keyset.NewBinaryReader(bytes.NewReader(raw))
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		reader = keyset.NewJSONReader(bytes.NewReader(raw))
	}
	handle, err := insecurecleartextkeyset.Read(reader)
	if err != nil {
		return nil, errors.New("seal: the key cannot be read: make one with lockstep new-key")
	}
	return fromHandle(handle)
}

// NewKey makes a new key as text, for the environment.
func NewKey() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", fmt.Errorf("seal: make a key: %w", err)
	}
	var raw bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&raw)); err != nil {
		return "", fmt.Errorf("seal: make a key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw.Bytes()), nil
}

// FromFile reads the key from a file, which only its owner may read. A file
// that is missing is made, whole or not at all.
func FromFile(path string) (*Sealer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: read the key: %w", err)
	}
	return FromText(string(bytes.TrimSpace(text)))
}

// create makes the key file. What was sealed is lost with its key, so that the
// file is on disk before the key is used, and of two processes that make it at
// once the second uses what the first made.
func create(path string) (*Sealer, error) {
	text, err := NewKey()
	if err != nil {
		return nil, err
	}
	if err := store(path, text+"\n"); err != nil {
		return nil, fmt.Errorf("seal: store the key: %w", err)
	}
	return FromFile(path)
}

func store(path, text string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(folder, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(text)
	if err == nil {
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	open, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(open.Sync(), open.Close())
}

func fromHandle(handle *keyset.Handle) (*Sealer, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Sealer{aead: primitive}, nil
}

// Seal encrypts a text for a purpose; it opens for the same purpose only. The
// empty text stays empty.
func (s *Sealer) Seal(text, purpose string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	sealed, err := s.aead.Encrypt([]byte(text), []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same purpose.
func (s *Sealer) Open(sealed []byte, purpose string) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	text, err := s.aead.Decrypt(sealed, []byte(purpose))
	if err != nil {
		return "", fmt.Errorf("seal: a credential for %s does not open: was it stored under another key?", purpose)
	}
	return string(text), nil
}
