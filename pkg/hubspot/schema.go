package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// ErrExists marks a property that exists already; nothing was changed.
var ErrExists = errors.New("hubspot: a property of that name exists")

// Definition is a contact property of a portal.
type Definition struct {
	Name        string
	Label       string
	Type        string // bool, enumeration, date, datetime, string, number, phone_number
	FieldType   string // text, textarea, select, radio, checkbox, booleancheckbox, number, date, phonenumber, ...
	Group       string
	Description string
	Options     []Choice
	ReadOnly    bool // its value cannot be written
	Calculated  bool
	Unique      bool   // two contacts cannot have the same value
	External    bool   // its options are kept elsewhere, such as owners
	References  string // "OWNER" for owners
	Hidden      bool
	Own         bool // HubSpot's own, not one that the portal made
}

// Choice is one option of an enumeration.
type Choice struct {
	Value, Label string
	Hidden       bool
}

// Writable reports whether values of the property can be written.
func (d Definition) Writable() bool {
	return !d.ReadOnly && !d.Calculated && !strings.HasPrefix(d.FieldType, "calculation_")
}

// KeyDefinition is the definition of KeyProperty, for a group of the portal.
func KeyDefinition(group string) Definition {
	return Definition{
		Name: KeyProperty, Label: "Lockstep contact key", Type: "string", FieldType: "text", Group: group, Unique: true,
		Description: "Names the contact in Lockstep, so that it is never created twice. Do not edit.",
	}
}

// definitionBody is a property on the wire.
type definitionBody struct {
	Name         string       `json:"name"`
	Label        string       `json:"label"`
	Type         string       `json:"type"`
	FieldType    string       `json:"fieldType"`
	GroupName    string       `json:"groupName"`
	Description  string       `json:"description"`
	Options      []choiceBody `json:"options"`
	Unique       bool         `json:"hasUniqueValue"`
	External     bool         `json:"externalOptions,omitempty"`
	References   string       `json:"referencedObjectType,omitempty"`
	Calculated   bool         `json:"calculated,omitempty"`
	Hidden       bool         `json:"hidden,omitempty"`
	Archived     bool         `json:"archived,omitempty"`
	Own          bool         `json:"hubspotDefined,omitempty"`
	Modification *struct {
		ReadOnlyValue bool `json:"readOnlyValue"`
	} `json:"modificationMetadata,omitempty"`
}

type choiceBody struct {
	Label  string `json:"label"`
	Value  string `json:"value"`
	Order  int    `json:"displayOrder"`
	Hidden bool   `json:"hidden"`
}

func (b definitionBody) definition() Definition {
	d := Definition{
		Name: b.Name, Label: b.Label, Type: b.Type, FieldType: b.FieldType, Group: b.GroupName, Description: b.Description,
		Calculated: b.Calculated, Unique: b.Unique, External: b.External, References: b.References, Hidden: b.Hidden, Own: b.Own,
		ReadOnly: b.Modification != nil && b.Modification.ReadOnlyValue,
	}
	for _, option := range b.Options {
		d.Options = append(d.Options, Choice{Value: option.Value, Label: option.Label, Hidden: option.Hidden})
	}
	return d
}

// schema is the path of the property API of an object type.
func (c *Client) schema(object, rest string) string {
	return "/crm/properties/" + c.version + "/" + object + rest
}

// Properties gives all active, non-sensitive contact properties.
func (c *Client) Properties(ctx context.Context) ([]Definition, error) {
	var got struct {
		Results []definitionBody `json:"results"`
	}
	path := c.schema("contacts", "")
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path}, &got); err != nil {
		return nil, fmt.Errorf("list properties: %w", err)
	}
	definitions := make([]Definition, 0, len(got.Results))
	for _, body := range got.Results {
		if !body.Archived {
			definitions = append(definitions, body.definition())
		}
	}
	return definitions, nil
}

// property reads one definition of an object type.
func (c *Client) property(ctx context.Context, object, name string) (Definition, error) {
	var got definitionBody
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: c.schema(object, "/"+url.PathEscape(name)), pattern: c.schema(object, "/{name}"),
	}, &got)
	if err != nil {
		return Definition{}, fmt.Errorf("read property %s: %w", name, err)
	}
	return got.definition(), nil
}

// CreateProperty creates a contact property. A checkbox without options gets
// the two that HubSpot asks for. It answers ErrExists when the name is taken.
func (c *Client) CreateProperty(ctx context.Context, d Definition) error {
	body := definitionBody{
		Name: d.Name, Label: d.Label, Type: d.Type, FieldType: d.FieldType, GroupName: d.Group, Description: d.Description,
		Unique: d.Unique, External: d.External, References: d.References, Hidden: d.Hidden, Options: []choiceBody{},
	}
	choices := d.Options
	if d.Type == "bool" && len(choices) == 0 {
		choices = []Choice{{Value: "true", Label: "Yes"}, {Value: "false", Label: "No"}}
	}
	for i, choice := range choices {
		body.Options = append(body.Options, choiceBody{Label: choice.Label, Value: choice.Value, Order: i, Hidden: choice.Hidden})
	}
	path := c.schema("contacts", "")
	_, err := c.do(ctx, request{method: http.MethodPost, path: path, pattern: path, body: body}, nil)
	if refused := refusedCall(err); refused != nil && (refused.Status == http.StatusConflict || refused.body.SubCategory == "Properties.PROPERTY_WITH_NAME_EXISTS") {
		return fmt.Errorf("create property %s: %w", d.Name, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("create property %s: %w", d.Name, err)
	}
	return nil
}

// CreateGroup creates a property group; one that exists is left as it is.
func (c *Client) CreateGroup(ctx context.Context, name, label string) error {
	path := c.schema("contacts", "/groups")
	body := map[string]string{"name": name, "label": label}
	_, err := c.do(ctx, request{method: http.MethodPost, path: path, pattern: path, body: body}, nil)
	if fault.Is(err, fault.Permanent) {
		_, readErr := c.do(ctx, request{method: http.MethodGet, path: path + "/" + url.PathEscape(name), pattern: path + "/{name}"}, nil)
		if readErr == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("create property group %s: %w", name, err)
	}
	return nil
}

// Account is a portal.
type Account struct {
	PortalID int64
	TimeZone string // as HubSpot names it, such as US/Eastern
	Kind     string // STANDARD, SANDBOX, DEVELOPER_TEST, ...
	UIDomain string // where people open records, such as app.hubspot.com
}

// Account tells which portal the token is of.
func (c *Client) Account(ctx context.Context) (Account, error) {
	var got struct {
		PortalID int64  `json:"portalId"`
		TimeZone string `json:"timeZone"`
		Kind     string `json:"accountType"`
		UIDomain string `json:"uiDomain"`
	}
	path := "/account-info/" + c.version + "/details"
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path}, &got); err != nil {
		return Account{}, fmt.Errorf("read account: %w", err)
	}
	return Account(got), nil
}

// PropertyLimit is how many custom contact properties a portal may have, and
// has.
type PropertyLimit struct{ Limit, Usage int64 }

// PropertyLimit reads the portal's bound on custom contact properties.
func (c *Client) PropertyLimit(ctx context.Context) (PropertyLimit, error) {
	var got struct {
		OverallLimit int64 `json:"overallLimit"`
		OverallUsage int64 `json:"overallUsage"`
		ByObjectType []struct {
			ObjectTypeID string `json:"objectTypeId"`
			Limit        int64  `json:"limit"`
			Usage        int64  `json:"usage"`
		} `json:"byObjectType"`
	}
	path := "/crm/limits/" + c.version + "/custom-properties"
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path}, &got); err != nil {
		return PropertyLimit{}, fmt.Errorf("read property limit: %w", err)
	}
	for _, object := range got.ByObjectType {
		if object.ObjectTypeID == contactType {
			return PropertyLimit{Limit: object.Limit, Usage: object.Usage}, nil
		}
	}
	return PropertyLimit{Limit: got.OverallLimit, Usage: got.OverallUsage}, nil
}

// directory begins a list that was read now.
func (c *Client) directory(list string) contact.Directory {
	return contact.Directory{System: contact.HubSpot, List: list, ReadAt: contact.Millis(c.now().UnixMilli())}
}

// Options gives the options of a contact property. Time zones match by their
// IANA name, all others by their value; hidden ones are not active.
func (c *Client) Options(ctx context.Context, property string) (contact.Directory, error) {
	d, err := c.property(ctx, "contacts", property)
	if err != nil {
		return contact.Directory{}, err
	}
	return c.OptionsOf(d), nil
}

// dispositionName is the property of HubSpot's calls that holds a call outcome.
const dispositionName = "hs_call_disposition"

// Dispositions gives the portal's call outcomes, by their ids. HubSpot has no
// dated path for them; where the old one is gone, the options of the calls'
// own property are the same list.
func (c *Client) Dispositions(ctx context.Context) (contact.Directory, error) {
	const path = "/calling/v1/dispositions"
	var got []struct {
		ID      text `json:"id"`
		Label   text `json:"label"`
		Deleted bool `json:"deleted"`
	}
	directory := c.directory(contact.OptionList(dispositionName))
	_, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path}, &got)
	if refused := refusedCall(err); refused != nil && refused.Status >= 400 && refused.Status < 500 &&
		refused.Class != fault.Throttled && refused.Class != fault.Unauthorized {
		d, optionErr := c.property(ctx, "calls", dispositionName)
		if optionErr != nil {
			return contact.Directory{}, fmt.Errorf("list dispositions: %w", err)
		}
		for _, choice := range d.Options {
			directory.Entries = append(directory.Entries, contact.DirectoryEntry{Value: choice.Value, Match: choice.Value, Label: choice.Label, Active: !choice.Hidden})
		}
		return directory, nil
	}
	if err != nil {
		return contact.Directory{}, fmt.Errorf("list dispositions: %w", err)
	}
	for _, item := range got {
		directory.Entries = append(directory.Entries, contact.DirectoryEntry{Value: string(item.ID), Match: string(item.ID), Label: string(item.Label), Active: !item.Deleted})
	}
	return directory, nil
}

// ownerPages ends an owners list that pages in a circle.
const ownerPages = 1000

// Owners gives the portal's users who can own contacts, also the deactivated
// ones, because contacts still name them. They match by e-mail.
func (c *Client) Owners(ctx context.Context) (contact.Directory, error) {
	directory := c.directory(contact.UserList)
	seen := map[string]bool{}
	path := "/crm/owners/" + c.version
	for _, archived := range []string{"false", "true"} {
		after := ""
		for range ownerPages {
			query := url.Values{"limit": {"100"}, "archived": {archived}}
			if after != "" {
				query.Set("after", after)
			}
			var got struct {
				Results []struct {
					ID        text `json:"id"`
					Email     text `json:"email"`
					Type      text `json:"type"`
					FirstName text `json:"firstName"`
					LastName  text `json:"lastName"`
					Archived  bool `json:"archived"`
				} `json:"results"`
				Paging *page `json:"paging"`
			}
			if _, err := c.do(ctx, request{method: http.MethodGet, path: path, pattern: path, query: query}, &got); err != nil {
				return contact.Directory{}, fmt.Errorf("list owners: %w", err)
			}
			for _, owner := range got.Results {
				id := string(owner.ID)
				if id == "" || seen[id] || owner.Type != "" && owner.Type != "PERSON" {
					continue
				}
				seen[id] = true
				email := strings.ToLower(strings.TrimSpace(string(owner.Email)))
				label := strings.TrimSpace(string(owner.FirstName) + " " + string(owner.LastName))
				if label == "" {
					label = email
				}
				directory.Entries = append(directory.Entries, contact.DirectoryEntry{
					Value: id, Match: email, Label: label, Active: !owner.Archived && archived == "false",
				})
			}
			if after = got.Paging.after(); after == "" {
				break
			}
		}
	}
	return directory, nil
}
