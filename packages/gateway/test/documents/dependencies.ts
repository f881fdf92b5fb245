import { readFileSync } from 'node:fs';

const LOCK = new URL('../../../../package-lock.json', import.meta.url);
const OWN = '@busgate/';

/** What a lock file says of a package. */
interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly link?: boolean;
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** A package of somebody else's that comes with ours. */
export interface Dependency extends Locked {
  readonly name: string;
}

const { packages } = JSON.parse(readFileSync(LOCK, 'utf8')) as { readonly packages: Readonly<Record<string, Locked>> };

/** All that users install with the packages of this repository, by name. */
export function dependencies(): readonly Dependency[] {
  return Object.entries(packages)
    .filter(([path, { dev, devOptional, link }]) => path.startsWith('node_modules/') && dev !== true && devOptional !== true && link !== true)
    .map(([path, locked]) => ({ ...locked, name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those that want another package: ours first. */
function wantedBy(name: string): string {
  const all = Object.entries(packages).filter(([path, { dev, link, dependencies: wanted }]) => path !== '' && dev !== true && link !== true && wanted?.[name]);
  return all.map(([path, { name: said }]) => `\`${said ?? path.replace(/^packages\//, OWN).replace(/^.*node_modules\//, '')}\``).join(', ');
}

/** docs/dependencies.md, from the lock file. */
export function dependenciesDocument(): string {
  const cells = dependencies().map(({ name, license = '' }) => [`\`${name}\``, license, wantedBy(name)]);
  const head = ['package', 'licence', 'wanted by'];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return `# Dependencies

<!-- Made from package-lock.json by \`npm run docs\`. -->

All that comes with the packages of Busgate, whose own licence is [MIT](../LICENSE). None of it runs anything when it is installed. In a checkout \`npm ci\` builds the packages, and lets one other script
run, that of \`node\`, which puts the Node in place that the tests run on; an npm that knows no \`allowScripts\` runs those of \`cpu-features\`, \`protobufjs\` and \`ssh2\` too, which tests in containers bring.

${[line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')}
`;
}
