package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of a password: OWASP's first choice for argon2id. Each hash tells
// its own cost, so that these may be raised.
const (
	argonMemory  = 46 << 10 // KiB
	argonTime    = 1
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32

	leastPassword = 12   // characters
	mostPassword  = 1024 // bytes
)

// hash is a password's argon2id hash in its usual text form.
func hash(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(norm.NFC.String(password)), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// matches reports whether a hash is that of a password.
func matches(hashed, password string) bool {
	var version int
	var memory, passes uint32
	var threads uint8
	parts := strings.Split(hashed, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil || passes == 0 || threads == 0 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	key, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(key) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(norm.NFC.String(password)), salt, passes, memory, threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}

// verify compares a password with a hash. Few do so at the same time, because
// each takes much memory. A login without a password ("") is the same work,
// and never right.
func (s *Service) verify(ctx context.Context, hashed, password string) (bool, error) {
	if len(password) > mostPassword {
		return false, nil
	}
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-s.hashing }()
	if hashed == "" {
		matches(s.nobody, password)
		return false, nil
	}
	return matches(hashed, password), nil
}

// hash is a password's hash, made when there is room for it.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-s.hashing }()
	return hash(password), nil
}

// checkPassword tells what is wrong with a new password.
func checkPassword(login, old, password string) error {
	switch {
	case !utf8.ValidString(password) || len(password) > mostPassword:
		return &Error{"invalid", "password", fmt.Sprintf("a password has at most %d bytes of text", mostPassword)}
	case utf8.RuneCountInString(password) < leastPassword:
		return &Error{"invalid", "password", fmt.Sprintf("a password has at least %d characters; a few words that only you would join are good", leastPassword)}
	case norm.NFC.String(password) == norm.NFC.String(old):
		return &Error{"invalid", "password", "the new password must not be the old one"}
	case strings.EqualFold(password, login):
		return &Error{"invalid", "password", "a password must not be the login"}
	}
	return nil
}

// oneTimePassword is a random password that a person can type.
func oneTimePassword() string {
	text := strings.ToLower(rand.Text()[:20])
	return text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:]
}
