"""Signs claims with PyJWT: reads [{"alg", "kid", "key", "claims"}] from standard input, and writes a token a line. A key is PEM, or a secret where the algorithm is a MAC."""

import json
import sys

import jwt

for order in json.load(sys.stdin):
    print(jwt.encode(order["claims"], order["key"], algorithm=order["alg"], headers={"kid": order["kid"]}))
