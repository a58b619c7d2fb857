package aloware

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
)

// Scheme is how Aloware proves itself in a webhook's Authorization header.
type Scheme string

// The schemes; there is no signature.
const (
	None   Scheme = "none"
	Basic  Scheme = "basic"
	Bearer Scheme = "bearer"
)

// Credential is what was entered in Aloware's webhook settings.
type Credential struct {
	Scheme   Scheme // "" lets nobody in: nothing was entered yet
	User     string // of Basic
	Password string // of Basic
	Token    string // of Bearer
}

// ErrUnauthorized is a missing or wrong credential.
var ErrUnauthorized = errors.New("the webhook's credential is missing or wrong")

// Authorize compares an Authorization header with a credential, in a time that
// tells nothing of the credential. A credential without a secret lets nobody in.
func Authorize(header string, cred Credential) error {
	scheme, given, _ := strings.Cut(strings.TrimSpace(header), " ")
	given = strings.TrimSpace(given)
	switch cred.Scheme {
	case None:
		return nil
	case Basic:
		want := cred.User + ":" + cred.Password
		raw, err := base64.StdEncoding.DecodeString(given)
		if equal(string(raw), want) && err == nil && strings.EqualFold(scheme, "basic") && want != ":" {
			return nil
		}
	case Bearer:
		if equal(given, cred.Token) && strings.EqualFold(scheme, "bearer") && cred.Token != "" {
			return nil
		}
	}
	return ErrUnauthorized
}

// equal compares digests, so that not even the length shows.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
