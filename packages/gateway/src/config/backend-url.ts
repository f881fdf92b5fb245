import { areSecrets, SECRET_RULE, secretsIn } from '../forward/signing.ts';
import { maskUrl } from './layer-url.ts';
import { complete, type MemberReader } from './members.ts';
import { count, text, type ValueType } from './types.ts';

/** A server that is posted each event. */
export interface BackendUrl {
  readonly url: string;
  /** None, one, or two during a rotation. */
  readonly secrets: readonly string[];
  /** Events that each gateway has under way at a time. */
  readonly concurrency: number;
}

export const URL_RULE = 'an http or https URL without a name and password, such as http://app:3000/busgate';
export const CONCURRENCY = count(1, 10_000);
export const CONCURRENT = 256;

/** It may hold what only its owner may know. */
export const BACKEND_URL: ValueType<string> = {
  ...text(URL_RULE, 'URL', isBackendUrl),
  read(raw, report) {
    if (typeof raw === 'string' && isBackendUrl(raw)) return raw;
    report({ got: typeof raw === 'string' ? maskUrl(raw) : raw, must: URL_RULE });
    return undefined;
  },
};

const SECRETS_RULE = `${SECRET_RULE}, or a list of two such secrets while one replaces the other`;

/** What is wrong is not shown. */
const SECRETS: ValueType<readonly string[]> = {
  name: 'text',
  allowed: SECRETS_RULE,
  read(raw, report) {
    const secrets: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
    if (areSecrets(secrets)) return secrets;
    report({ must: SECRETS_RULE });
    return undefined;
  },
  write: (value) => value.map(() => '***'),
};

/** What a route with `url` says of its backend. `readFile` reads the file of a secret. */
export function readBackend(members: MemberReader, readFile: (path: string) => string): BackendUrl | undefined {
  return complete<BackendUrl>({
    url: members.take('url', BACKEND_URL),
    secrets: readSecrets(members, readFile),
    concurrency: members.take('concurrency', CONCURRENCY, CONCURRENT),
  });
}

/** As the file would say it, secrets masked. */
export function writeBackend({ url, secrets, concurrency }: BackendUrl): Record<string, unknown> {
  return { url: maskUrl(url), ...(secrets.length === 0 ? {} : { secret: SECRETS.write(secrets) }), concurrency };
}

/** Secrets by the name of a file that holds them, one a line. */
export function secretFile(readFile: (path: string) => string): ValueType<readonly string[]> {
  return {
    ...SECRETS,
    read(raw, report) {
      const must = `the name of a file that can be read and holds ${SECRET_RULE}, or two such lines`;
      try {
        const secrets = typeof raw === 'string' ? secretsIn(readFile(raw)) : undefined;
        if (secrets !== undefined) return secrets;
      } catch {
        // Told as what it must be.
      }
      report({ got: raw, must });
      return undefined;
    },
  };
}

function isBackendUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === '';
}

function readSecrets(members: MemberReader, readFile: (path: string) => string): readonly string[] | undefined {
  if (members.has('secret') && members.has('secret_file')) members.refuse('secret_file', 'left out where secret is said');
  if (members.has('secret_file')) return members.take('secret_file', secretFile(readFile));
  return members.take('secret', SECRETS, []);
}
