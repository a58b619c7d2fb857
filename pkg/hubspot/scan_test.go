package hubspot

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzScanEvents holds the scanner against encoding/json: what it reads, that
// reads alike.
func FuzzScanEvents(f *testing.F) {
	raw, err := os.ReadFile("testdata/webhooks.json")
	if err != nil {
		f.Fatal(err)
	}
	var samples []struct{ Body json.RawMessage }
	if err := json.Unmarshal(raw, &samples); err != nil {
		f.Fatal(err)
	}
	for _, sample := range samples {
		if _, ok := scanEvents(sample.Body); !ok {
			f.Errorf("a known delivery is not scanned: %s", sample.Body)
		}
		f.Add([]byte(sample.Body))
	}
	f.Add([]byte(` [ { "objectId" : -1 , "propertyValue":"a\"\u00e4\ud83d\ude00", "mergedObjectIds":[ 1 , 2 ], "appId":null } , {} ] `))
	f.Add([]byte(`[{"ObjectID":5,"objectId":01,"sourceId":"\x"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		scanned, ok := scanEvents(body)
		if !ok {
			return
		}
		var want []webhookEvent
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("scanned what is not valid: %v", err)
		}
		if diff := cmp.Diff(want, scanned, cmp.Transformer("empty", func(list []json.Number) []json.Number {
			return append([]json.Number{}, list...)
		})); len(want) > 0 && diff != "" {
			t.Error(diff)
		}
	})
}
