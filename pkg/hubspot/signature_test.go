package hubspot_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/hubspot"
)

type signatureVector struct {
	Version, Secret, Method, URL, Body, Signature, TimestampHeader string
}

// TestSignatureVectors holds both checks against HubSpot's examples and others.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	var vectors []signatureVector
	loadJSON(t, "signatures.json", &vectors)
	v3 := 0
	for _, v := range vectors {
		if v.Version == "v1" {
			if err := hubspot.VerifyV1(v.Secret, []byte(v.Body), v.Signature); err != nil {
				t.Errorf("v1 %s: %v", v.URL, err)
			}
			if err := hubspot.VerifyV1(v.Secret, []byte(v.Body+" "), v.Signature); !errors.Is(err, hubspot.ErrSignature) {
				t.Errorf("v1 changed body: got %v", err)
			}
			continue
		}
		v3++
		ms, err := strconv.ParseInt(v.TimestampHeader, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		verify := func(v signatureVector, at int64) error {
			return hubspot.VerifyV3(v.Secret, v.Method, v.URL, []byte(v.Body), v.TimestampHeader, v.Signature, time.UnixMilli(at))
		}
		for age, want := range map[int64]error{0: nil, 300_000: nil, 300_001: hubspot.ErrTimestamp, -300_000: nil, -300_001: hubspot.ErrTimestamp} {
			if err := verify(v, ms+age); !errors.Is(err, want) {
				t.Errorf("v3 %s age %d: got %v, want %v", v.URL, age, err, want)
			}
		}
		for name, change := range map[string]func(*signatureVector){
			"secret": func(v *signatureVector) { v.Secret += "x" }, "empty secret": func(v *signatureVector) { v.Secret = "" },
			"method": func(v *signatureVector) { v.Method = "PUT" }, "url": func(v *signatureVector) { v.URL += "x" },
			"body": func(v *signatureVector) { v.Body += " " }, "signature": func(v *signatureVector) { v.Signature = "AAAA" },
		} {
			changed := v
			change(&changed)
			if err := verify(changed, ms); !errors.Is(err, hubspot.ErrSignature) {
				t.Errorf("v3 changed %s: got %v", name, err)
			}
		}
		lower := v
		lower.URL = strings.NewReplacer("%3A", "%3a", "%2F", "%2f").Replace(v.URL) + "#top"
		if err := verify(lower, ms); err != nil {
			t.Errorf("v3 rewritten escapes: %v", err)
		}
		for _, bad := range []string{"", "soon", "-5", "1e12", "99999999999999999999"} {
			changed := v
			changed.TimestampHeader = bad
			if err := verify(changed, ms); !errors.Is(err, hubspot.ErrTimestamp) {
				t.Errorf("timestamp %q: got %v", bad, err)
			}
		}
	}
	if v3 < 4 {
		t.Errorf("only %d vectors of v3", v3)
	}
}
