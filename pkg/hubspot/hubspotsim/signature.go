package hubspotsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// signatureV1 is the lower-case hex SHA-256 of the secret and the raw body.
func signatureV1(secret string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(secret))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// signatureV2 also covers method and URL; workflow and card calls use it.
func signatureV2(secret, method, url string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(secret + method + url))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// signatureV3 is the base64 HMAC of method, decoded URL, body and timestamp.
func signatureV3(secret, method, url string, body []byte, timestamp string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(method + signedURL(url)))
	h.Write(body)
	h.Write([]byte(timestamp))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// signedEscapes are the only escapes that are decoded before signing.
var signedEscapes = map[string]byte{
	"%3A": ':', "%2F": '/', "%3F": '?', "%40": '@', "%21": '!', "%24": '$',
	"%27": '\'', "%28": '(', "%29": ')', "%2A": '*', "%2C": ',', "%3B": ';',
}

// signedURL is the URL as version 3 signs it. One pass, so that nothing is decoded twice.
func signedURL(url string) string {
	var out strings.Builder
	for i := 0; i < len(url); i++ {
		if url[i] == '%' && i+3 <= len(url) {
			if c, ok := signedEscapes[strings.ToUpper(url[i:i+3])]; ok {
				out.WriteByte(c)
				i += 2
				continue
			}
		}
		out.WriteByte(url[i])
	}
	return out.String()
}
