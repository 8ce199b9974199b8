// An application that gives its users tickets: each opens one stream, by its URL alone.
//
//	LISTEN=127.0.0.1:3000 GATEWAY=127.0.0.1:8080 JWT_SECRET_FILE=jwt.secret go run .
//
// The gateways: sse-gateway --jwt-secret-file jwt.secret --ticket-key-file ticket.key
// The page: as in docs/tickets.md, with POST /stream-ticket for those who are signed in.
package main

import (
	"bytes"
	"crypto/subtle"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// userOf says who sent a request: here by Basic authentication, in the place of your sessions.
func userOf(r *http.Request) string {
	name, password, _ := r.BasicAuth()
	known, ok := map[string]string{"ann": "the first", "ben": "the second"}[name]
	if !ok || subtle.ConstantTimeCompare([]byte(known), []byte(password)) != 1 {
		return ""
	}
	return name
}

// askGateway sends the request on, with a token that says which channels the user may have and never leaves these machines.
func askGateway(w http.ResponseWriter, r *http.Request, user string, secret []byte, gateway http.Handler) {
	now := time.Now().Unix()
	claims := jwt.MapClaims{"sub": user, "iat": now, "exp": now + 3600, "channels": []string{"user:" + user, "news"}}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		log.Panic(err)
	}
	r.URL.Path = "/ticket"
	r.Header.Set("Authorization", "Bearer "+token)
	gateway.ServeHTTP(w, r)
}

func main() {
	secret, err := os.ReadFile(os.Getenv("JWT_SECRET_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	gateway := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: os.Getenv("GATEWAY")})
	http.HandleFunc("/stream-ticket", func(w http.ResponseWriter, r *http.Request) {
		if user := userOf(r); user == "" || r.Method != http.MethodPost {
			http.Error(w, "sign in first", http.StatusUnauthorized)
		} else {
			askGateway(w, r, user, bytes.TrimRight(secret, "\n"), gateway)
		}
	})
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}
