// Signs claims with jwx: reads [{"alg", "kid", "key", "claims"}] from standard input, and writes a token a line. A key is PEM, or a secret where the algorithm is a MAC.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

type order struct {
	Alg, Kid, Key string
	Claims        json.RawMessage
}

func main() {
	var orders []order
	if err := json.NewDecoder(os.Stdin).Decode(&orders); err != nil {
		log.Fatal(err)
	}
	for _, one := range orders {
		token, err := one.sign()
		if err != nil {
			log.Fatal(one.Alg, ": ", err)
		}
		fmt.Println(string(token))
	}
}

func (one order) sign() ([]byte, error) {
	key, err := one.key()
	if err != nil {
		return nil, err
	}
	head := jws.NewHeaders()
	if err := head.Set(jws.KeyIDKey, one.Kid); err != nil {
		return nil, err
	}
	return jws.Sign(one.Claims, jws.WithKey(jwa.SignatureAlgorithm(one.Alg), key, jws.WithProtectedHeaders(head)))
}

func (one order) key() (jwk.Key, error) {
	if strings.HasPrefix(one.Alg, "HS") {
		return jwk.FromRaw([]byte(one.Key))
	}
	return jwk.ParseKey([]byte(one.Key), jwk.WithPEM(true))
}
