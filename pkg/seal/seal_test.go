package seal

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// TestSealedTextOpensForItsPurposeOnly, with the key of a file that is made
// once and read again.
func TestSealedTextOpensForItsPurposeOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "seal.key")
	first, err := FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := first.Seal("token-1", "demo/hubspot")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("token-1")) {
		t.Error("the text is to be seen in what was sealed")
	}
	again, err := FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(sealed, "demo/hubspot"); err != nil || got != "token-1" {
		t.Errorf("got %q, %v; want the text", got, err)
	}
	if got, err := again.Open(sealed, "other/hubspot"); err == nil {
		t.Errorf("opened for another purpose: %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("the folder holds %v, want the key alone", left)
	}
}

// TestKeyFileIsMadeOnce, however many processes begin at the same time: what
// one of them seals the others open.
func TestKeyFileIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seal.key")
	sealers := make([]*Sealer, 16)
	var group sync.WaitGroup
	for i := range sealers {
		group.Go(func() {
			var err error
			if sealers[i], err = FromFile(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	sealed, err := sealers[0].Seal("text", "purpose")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sealers {
		if _, err := s.Open(sealed, "purpose"); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
}

// TestKeysCanBeReplaced: a keyset with a new primary key, in tinkey's JSON
// form, still opens what the former one sealed.
func TestKeysCanBeReplaced(t *testing.T) {
	t.Parallel()
	manager := keyset.NewManager()
	asText := func() string {
		handle, err := manager.Handle()
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&raw)); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw.Bytes())
	}
	add := func() *Sealer {
		id, err := manager.Add(aead.AES256GCMKeyTemplate())
		if err == nil {
			err = manager.SetPrimary(id)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := FromText(asText())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	former := add()
	sealed, err := former.Seal("text", "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := add().Open(sealed, "p"); err != nil || got != "text" {
		t.Errorf("got %q, %v; want the text", got, err)
	}
}

// TestWrongKeyIsRefused without repeating it.
func TestWrongKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "not a key", "bm90IGEga2V5", base64.StdEncoding.EncodeToString([]byte(`{"primaryKeyId":1}`))} {
		_, err := FromText(text)
		if err == nil {
			t.Errorf("%q was taken for a key", text)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}
