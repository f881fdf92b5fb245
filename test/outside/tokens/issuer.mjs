/**
 * An issuer of OpenID Connect, `oidc-provider`, on the port `PORT`. It publishes the keys `KEYS`, private ones as a list of JWK of which the first signs, and gives every client of
 * `CLIENTS` (a list of names) tokens for the resource that it asks for, which live for `LIFE` seconds.
 */
import Provider from 'oidc-provider';

const { PORT, KEYS, CLIENTS, LIFE } = process.env;
const ALGORITHM = 'ES256';

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  jwks: { keys: JSON.parse(KEYS) },
  clientDefaults: { id_token_signed_response_alg: ALGORITHM, grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
  clients: JSON.parse(CLIENTS).map((name) => ({ client_id: name, client_secret: name })),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: '',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: Number(LIFE),
        jwt: { sign: { alg: ALGORITHM } },
      }),
    },
  },
  extraTokenClaims: () => ({ busgate: { join: ['team.7'], publish: ['team.7'] } }),
});

provider.listen(Number(PORT), '127.0.0.1');
