package hubspotsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// demoUser is who approves the app on the consent page.
const (
	demoUser   = "maria.santos@example.com"
	demoUserID = 52530071
	hubDomain  = "simulated-account.hubspot.com"
)

// authorize shows the consent page, and sends the visitor back with a code.
func (s *Sim) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the request could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	f := r.Form
	back, err := url.Parse(f.Get("redirect_uri"))
	switch {
	case f.Get("client_id") != s.cfg.ClientID:
		s.consentError(w, fmt.Sprintf("The app with client_id %q is not known here. Use the one that the simulator was configured with.", f.Get("client_id")))
		return
	case err != nil || back.Host == "" || back.Scheme != "https" && back.Hostname() != "localhost" && back.Hostname() != "127.0.0.1":
		s.consentError(w, "redirect_uri must be an absolute https address, or http on localhost.")
		return
	case f.Get("code_challenge_method") != "" && f.Get("code_challenge_method") != "S256":
		s.consentError(w, "code_challenge_method must be S256.")
		return
	}
	scopes := strings.Fields(f.Get("scope") + " " + f.Get("optional_scope"))
	if r.Method != http.MethodPost {
		s.consentPage(w, f, scopes)
		return
	}
	v := back.Query()
	if f.Get("decision") == "deny" {
		v.Set("error", "access_denied")
		v.Set("error_description", "The user did not approve the app")
	} else {
		v.Set("code", s.tokens.newCode(pendingCode{grant: grant{Scopes: append(scopes, "oauth")}, redirect: f.Get("redirect_uri"),
			challenge: f.Get("code_challenge"), method: f.Get("code_challenge_method"), expires: s.cfg.Now().Add(codeLife)}))
	}
	if state := f.Get("state"); state != "" {
		v.Set("state", state)
	}
	back.RawQuery = v.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// oauthFailure is the body of the token endpoint's errors.
func oauthFailure(status, code, text string) *failure {
	return &failure{Status: http.StatusBadRequest, Message: text, Extra: map[string]any{"status": status, "error": code, "error_description": text}}
}

// oauth answers the token calls of every version.
func (s *Sim) oauth(q *call) {
	form, err := url.ParseQuery(string(q.body))
	if err != nil {
		q.fail(oauthFailure("BAD_GRANT_TYPE", "invalid_request", "the form could not be read"))
		return
	}
	method := q.r.Method
	switch path := strings.Join(q.rest, "/"); {
	case method == http.MethodPost && path == "token":
		s.giveToken(q, form)
	case method == http.MethodPost && path == "token/introspect" && q.version != "v1":
		if f := s.checkClient(form); f != nil {
			q.fail(f)
			return
		}
		s.introspect(q, form.Get("token"))
	case method == http.MethodPost && path == "token/revoke" && q.version != "v1":
		if f := s.checkClient(form); f != nil {
			q.fail(f)
			return
		}
		s.revoke(form.Get("token"))
		writeJSON(q.w, http.StatusOK, map[string]any{})
	case q.version == "v1" && len(q.rest) == 2 && q.rest[0] == "access-tokens" && method == http.MethodGet:
		g, ok := s.tokens.find("access", q.rest[1])
		if !ok || g.Expires <= s.nowMS() {
			q.fail(&failure{Status: http.StatusNotFound, Message: "Token does not exist or is expired"})
			return
		}
		writeJSON(q.w, http.StatusOK, s.describe(q.rest[1], g, "access"))
	case q.version == "v1" && len(q.rest) == 2 && q.rest[0] == "refresh-tokens" && method == http.MethodGet:
		g, ok := s.tokens.find("refresh", q.rest[1])
		if !ok {
			q.fail(&failure{Status: http.StatusNotFound, Message: "Token does not exist or is expired"})
			return
		}
		writeJSON(q.w, http.StatusOK, s.describe(q.rest[1], g, "refresh"))
	case q.version == "v1" && len(q.rest) == 2 && q.rest[0] == "refresh-tokens" && method == http.MethodDelete:
		s.revoke(q.rest[1])
		q.w.WriteHeader(http.StatusNoContent)
	default:
		q.fail(noRoute())
	}
}

func (s *Sim) checkClient(form url.Values) *failure {
	if form.Get("client_id") != s.cfg.ClientID {
		return oauthFailure("BAD_CLIENT_ID", "invalid_client", "missing or invalid client id")
	}
	if subtle.ConstantTimeCompare([]byte(form.Get("client_secret")), []byte(s.cfg.ClientSecret)) != 1 {
		return oauthFailure("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret")
	}
	return nil
}

func (s *Sim) giveToken(q *call, form url.Values) {
	if f := s.checkClient(form); f != nil {
		q.fail(f)
		return
	}
	var g grant
	refresh := ""
	switch form.Get("grant_type") {
	case "authorization_code":
		c, ok := s.tokens.takeCode(form.Get("code"))
		switch {
		case !ok || !s.cfg.Now().Before(c.expires):
			q.fail(oauthFailure("BAD_AUTH_CODE", "invalid_grant", "missing or unknown auth code"))
			return
		case form.Get("redirect_uri") != c.redirect:
			q.fail(oauthFailure("BAD_REDIRECT_URI", "invalid_request", "redirect uri does not match the one that the code was made for"))
			return
		case c.challenge != "" && !provesChallenge(form.Get("code_verifier"), c.challenge):
			q.fail(oauthFailure("BAD_CODE_VERIFIER", "invalid_grant", "code verifier does not match the code challenge"))
			return
		}
		g, refresh = c.grant, secretText("na1-refresh-")
		s.changeToken(tokenChange{Text: refresh, Kind: "refresh", Grant: g})
	case "refresh_token":
		refresh = form.Get("refresh_token")
		found, ok := s.tokens.find("refresh", refresh)
		if !ok {
			q.fail(oauthFailure("BAD_REFRESH_TOKEN", "invalid_grant", "refresh token is invalid, expired or revoked"))
			return
		}
		g = found
	default:
		q.fail(oauthFailure("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type"))
		return
	}
	g.Refresh, g.Expires = refresh, s.cfg.Now().Add(accessLife).UnixMilli()
	access := secretText("CSim")
	s.changeToken(tokenChange{Text: access, Kind: "access", Grant: g})
	out := map[string]any{"token_type": "bearer", "access_token": access, "refresh_token": refresh, "expires_in": int(accessLife.Seconds())}
	if q.version != "v1" {
		out["hub_id"], out["scopes"], out["user_id"], out["token_use"] = s.cfg.PortalID, g.Scopes, demoUserID, "access_token"
	}
	writeJSON(q.w, http.StatusOK, out)
}

func provesChallenge(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

func (s *Sim) introspect(q *call, text string) {
	if g, ok := s.tokens.find("access", text); ok && g.Expires > s.nowMS() {
		out := s.describe(text, g, "access")
		out["active"], out["token_use"] = true, "access_token"
		writeJSON(q.w, http.StatusOK, out)
		return
	}
	if g, ok := s.tokens.find("refresh", text); ok {
		out := s.describe(text, g, "refresh")
		out["active"], out["token_use"] = true, "refresh_token"
		writeJSON(q.w, http.StatusOK, out)
		return
	}
	writeJSON(q.w, http.StatusOK, map[string]any{"active": false})
}

func (s *Sim) describe(text string, g grant, kind string) map[string]any {
	out := map[string]any{
		"token": text, "user": demoUser, "hub_domain": hubDomain, "scopes": g.Scopes, "hub_id": s.cfg.PortalID,
		"client_id": s.cfg.ClientID, "user_id": demoUserID, "token_type": kind,
	}
	if kind == "access" {
		out["app_id"], out["expires_in"] = s.cfg.AppID, max(0, (g.Expires-s.nowMS())/1000)
	}
	return out
}

// revoke ends a refresh token. Access tokens made from it work to their end.
func (s *Sim) revoke(text string) {
	if g, ok := s.tokens.find("access", text); ok {
		text = g.Refresh
	}
	if _, ok := s.tokens.find("refresh", text); ok {
		s.changeToken(tokenChange{Text: text, Kind: "refresh", Revoked: true})
	}
}

// uninstall removes the app from the account of the token.
func (s *Sim) uninstall(q *call) {
	if q.r.Method != http.MethodDelete || len(q.rest) != 1 || q.rest[0] != "external-install" || q.token.static {
		q.fail(noRoute())
		return
	}
	s.revoke(q.token.Refresh)
	q.w.WriteHeader(http.StatusNoContent)
}
