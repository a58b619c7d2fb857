package hubspot

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrSignature marks a request that was not signed with the app's secret.
var ErrSignature = errors.New("hubspot: signature does not match")

// ErrTimestamp marks a signed request whose time is missing, unreadable or not
// within five minutes of now.
var ErrTimestamp = errors.New("hubspot: signature is not of now")

// signatureAge is how far a request's time may lie from now.
const signatureAge = 5 * time.Minute

// VerifyV3 checks the headers X-HubSpot-Signature-v3 and
// X-HubSpot-Request-Timestamp. url is the full public URL that HubSpot called,
// body the raw bytes.
func VerifyV3(secret, method, url string, body []byte, timestamp, signature string, now time.Time) error {
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || ms <= 0 {
		return ErrTimestamp
	}
	if age := now.UnixMilli() - ms; age > signatureAge.Milliseconds() || age < -signatureAge.Milliseconds() {
		return ErrTimestamp
	}
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || secret == "" || len(given) != sha256.Size {
		return ErrSignature
	}
	url, _, _ = strings.Cut(url, "#")
	signed := documentedEscapes.Replace(url)
	if matchesV3(secret, method, signed, body, timestamp, given) {
		return nil
	}
	// Proxies may rewrite escapes with small letters; HubSpot's table has
	// capitals only.
	if again := documentedEscapes.Replace(smallEscape.ReplaceAllStringFunc(url, strings.ToUpper)); again != signed &&
		matchesV3(secret, method, again, body, timestamp, given) {
		return nil
	}
	return ErrSignature
}

// documentedEscapes are the escapes that HubSpot decodes before it signs, and
// no others.
var documentedEscapes = strings.NewReplacer(
	"%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$",
	"%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2C", ",", "%3B", ";",
)

var smallEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func matchesV3(secret, method, url string, body []byte, timestamp string, given []byte) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.ToUpper(method)))
	mac.Write([]byte(url))
	mac.Write(body)
	mac.Write([]byte(timestamp))
	return hmac.Equal(mac.Sum(nil), given)
}

// VerifyV1 checks the header X-HubSpot-Signature of version v1: it knows no
// time and no address, so it is for connections that allow it only.
func VerifyV1(secret string, body []byte, signature string) error {
	given, err := hex.DecodeString(signature)
	if err != nil || secret == "" {
		return ErrSignature
	}
	sum := sha256.New()
	sum.Write([]byte(secret))
	sum.Write(body)
	if subtle.ConstantTimeCompare(sum.Sum(nil), given) != 1 {
		return ErrSignature
	}
	return nil
}
