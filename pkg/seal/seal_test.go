package seal

import (
	"path/filepath"
	"testing"
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
	if _, err := FromText("not a key"); err == nil {
		t.Error("a text that is no key must be refused")
	}
}
