package hubspotsim

import (
	"fmt"
	"testing"
)

func inputs(list ...any) map[string]any { return map[string]any{"inputs": list} }

func input(fields ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		out[fields[i].(string)] = fields[i+1]
	}
	return out
}

type props = map[string]string

func TestBatchWithoutTraceIDsIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.make(props{"email": "taken@example.com"})
	id := b.make(props{"firstname": "A"})
	b.do("POST", contactsPath+"/batch/create", inputs(
		input("properties", props{"email": "good@example.com"}), input("properties", props{"email": "taken@example.com"}))).want(t, 409)
	b.do("GET", contactsPath+"/good@example.com?idProperty=email", nil).want(t, 404)
	b.do("POST", contactsPath+"/batch/create", inputs(
		input("properties", props{"email": "twin@example.com"}), input("properties", props{"email": "twin@example.com"}))).want(t, 409)
	a := b.do("POST", contactsPath+"/batch/update", inputs(
		input("id", id, "properties", props{"firstname": "B"}), input("id", "7", "properties", props{"firstname": "B", "nope": "1"}))).want(t, 207)
	if a.at("errors", 0, "context", "ids", 0) != "7" || b.read(id, "firstname") != "B" {
		t.Errorf("a missing id does not stop the others: %s", a.text)
	}
	other := b.make(props{"firstname": "C"})
	b.do("POST", contactsPath+"/batch/update", inputs(
		input("id", id, "properties", props{"firstname": "D"}), input("id", other, "properties", props{"nope": "1"}))).want(t, 400)
	if got := b.read(id, "firstname"); got != "B" {
		t.Errorf("a refused batch wrote %q", got)
	}
	b.do("POST", contactsPath+"/batch/upsert", inputs(
		input("id", "new@example.com", "idProperty", "email", "properties", props{}), input("id", "bad", "idProperty", "email", "properties", props{}))).want(t, 400)
	b.do("GET", contactsPath+"/new@example.com?idProperty=email", nil).want(t, 404)
}

func TestBatchWithTraceIDsIsPartial(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	taken := b.make(props{"email": "taken@example.com"})
	a := b.do("POST", contactsPath+"/batch/create", inputs(
		input("objectWriteTraceId", "0", "properties", props{"email": "taken@example.com"}),
		input("objectWriteTraceId", "1", "properties", props{"email": "good@example.com"}),
		input("objectWriteTraceId", "2", "properties", props{"email": "bad"}))).want(t, 207)
	if a.at("numErrors") != 2.0 || a.at("results", 0, "objectWriteTraceId") != "1" || a.at("results", 0, "properties", "hs_object_source_id") != "1001" {
		t.Errorf("got %s", a.text)
	}
	e := a.at("errors", 0)
	if walk(e, "context", "objectWriteTraceId", 0) != "0" || walk(e, "context", "existingId", 0) != taken || walk(e, "category") != "CONFLICT" {
		t.Errorf("conflict %v", e)
	}
	a = b.do("POST", contactsPath+"/batch/update", inputs(
		input("id", taken, "objectWriteTraceId", "a", "properties", props{"firstname": "T"}),
		input("id", "9", "objectWriteTraceId", "b", "properties", props{"firstname": "T"}),
		input("id", "good@example.com", "idProperty", "email", "objectWriteTraceId", "c", "properties", props{"lifecyclestage": "king"}))).want(t, 207)
	if r, _ := a.at("results").([]any); len(r) != 1 || a.at("numErrors") != 2.0 {
		t.Errorf("got %s", a.text)
	}
}

func TestUpsertByEmailAndByUniqueProperty(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	b.uniqueProperty("external_id")
	up := func(key, id string, p props) answer {
		return b.do("POST", contactsPath+"/batch/upsert", inputs(input("id", id, "idProperty", key, "properties", p))).want(t, 200)
	}
	first := up("email", "Ada@example.com", props{"firstname": "Ada", "external_id": "x1"})
	if first.at("results", 0, "new") != true {
		t.Errorf("first %s", first.text)
	}
	second := up("external_id", "x1", props{"lastname": "Lovelace"})
	if second.at("results", 0, "new") != false || second.at("results", 0, "id") != first.at("results", 0, "id") {
		t.Errorf("second %s", second.text)
	}
	third := up("external_id", "x2", props{"email": "grace@example.com"})
	if third.at("results", 0, "new") != true {
		t.Errorf("third %s", third.text)
	}
	b.do("POST", contactsPath+"/batch/upsert", inputs(input("id", "x2", "idProperty", "external_id", "properties", props{"email": "ada@example.com"}))).want(t, 409)
	b.do("POST", contactsPath+"/batch/upsert", inputs(
		input("id", "a@example.com", "idProperty", "email", "properties", props{}),
		input("id", "A@example.com", "idProperty", "email", "properties", props{}))).want(t, 400)
}

func TestBatchReadListsMissingIDsOnceAndShuffles(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	var list []any
	var ids []string
	for i := range 60 {
		id := b.make(props{"firstname": fmt.Sprint(i), "email": fmt.Sprintf("p%d@example.com", i)})
		ids = append(ids, id)
		list = append(list, input("id", id))
	}
	list = append(list, input("id", ids[0]), input("id", "5"), input("id", "6"))
	a := b.do("POST", contactsPath+"/batch/read", map[string]any{"inputs": list, "properties": []string{"email", "phone"}, "propertiesWithHistory": []string{}}).want(t, 207)
	results, _ := a.at("results").([]any)
	if len(results) != 60 || a.at("numErrors") != 1.0 || a.at("errors", 0, "context", "ids", 1) != "6" {
		t.Errorf("%d results, errors %v", len(results), a.at("errors"))
	}
	inOrder := true
	for i, r := range results {
		inOrder = inOrder && walk(r, "id") == ids[i]
	}
	if inOrder {
		t.Error("the results came in input order")
	}
	a = b.do("POST", contactsPath+"/batch/read", map[string]any{"idProperty": "email", "inputs": []any{input("id", "P7@example.com")}, "properties": []string{}}).want(t, 200)
	if a.at("results", 0, "id") != ids[7] {
		t.Errorf("by e-mail %s", a.text)
	}
	b.do("POST", contactsPath+"/batch/archive", inputs(input("id", ids[0]), input("id", "5"))).want(t, 204)
	b.do("GET", contactsPath+"/"+ids[0], nil).want(t, 404)
}
